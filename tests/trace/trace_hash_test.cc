// The trace hash is equal exactly when the run is: across processes, directories and address randomisation.
#include "trace/trace_hash.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "kdpc/lab.h"
#include "tests/trace/synthetic.h"

using namespace kdpc;
using kdpc::test::in_world;
using kdpc::test::Speaker;

namespace {

int in_the_executable;
void routine_in_the_executable() {}

// A run that mentions every sort of address there is.
std::uint64_t hash_of_a_run() {
  TraceHash hash;
  const Speaker speaker{hash};
  const auto on_the_heap = std::make_unique<int>(1);
  const auto also_on_the_heap = std::make_unique<int>(2);
  const int on_the_stack = 0;
  speaker.at(1, DpcQueued{in_world(0x1000), Address(&routine_in_the_executable), 0, 1, 1, true});
  speaker.at(2, ObjectSignalled{Address(&in_the_executable), 0, 1});
  speaker.at(3, OrderReleased{Address(on_the_heap.get())});
  speaker.at(4, OrderReleased{Address(also_on_the_heap.get())});
  speaker.at(5, OrderAcquired{Address(on_the_heap.get())});
  speaker.at(6, OrderAcquired{Address(&on_the_stack)});
  speaker.at(7, OrderAcquired{Address(reinterpret_cast<void*>(&std::strtoul))});  // in a library
  speaker.at(8, DebugPrinted{"hello\n", 6});
  speaker.at(9, Bugchecked{0xC4, 0x30, 2, reinterpret_cast<std::uint64_t>(on_the_heap.get()), 0xffffffffc0000005});
  return hash.value();
}

// Runs this program again, somewhere else, and returns what it prints.
std::string hash_of_another_process(const char* directory) {
  char self[4096] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) <= 0) return "no /proc/self/exe";
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::setenv("SOMETHING_TO_MOVE_THE_STACK", std::string(5000, 'x').c_str(), 1);
    if (::chdir(directory) == 0)
      ::execl(self, self, "--gtest_also_run_disabled_tests", "--gtest_filter=TraceHash.DISABLED_PrintForAnotherProcess", nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string output;
  char buffer[512];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) output.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto at = output.find("HASH=");
  return at == std::string::npos ? output : output.substr(at + 5, 16);
}

std::string text_of(std::uint64_t hash) {
  char text[32];
  std::snprintf(text, sizeof text, "%016" PRIx64, hash);
  return text;
}

}  // namespace

TEST(TraceHash, DISABLED_PrintForAnotherProcess) { std::printf("HASH=%s\n", text_of(hash_of_a_run()).c_str()); }

TEST(TraceHash, IsTheSameInAnotherProcessAndAnotherDirectory) {
  const std::string here = text_of(hash_of_a_run());
  EXPECT_EQ(hash_of_another_process("/"), here);
  EXPECT_EQ(hash_of_another_process("/tmp"), here);
}

TEST(TraceHash, IsTheSameTwiceInOneProcess) { EXPECT_EQ(hash_of_a_run(), hash_of_a_run()); }

TEST(TraceHash, SeesEveryPartOfAnEvent) {
  const auto hash_of = [](const Stamp& stamp, const Event& event) {
    TraceHash hash;
    hash.event(stamp, event);
    return hash.value();
  };
  const Stamp stamp{1000, 1, 2, 3};
  const DpcQueued queued{in_world(0x10), in_world(0x20), 1, 1, 1, true};
  const std::uint64_t reference = hash_of(stamp, queued);
  EXPECT_NE(hash_of({1001, 1, 2, 3}, queued), reference);
  EXPECT_NE(hash_of({1000, 0, 2, 3}, queued), reference);
  EXPECT_NE(hash_of({1000, 1, 3, 3}, queued), reference);
  EXPECT_NE(hash_of({1000, 1, 2, 4}, queued), reference);
  DpcQueued other = queued;
  other.dpc = in_world(0x18);
  EXPECT_NE(hash_of(stamp, other), reference);
  other = queued;
  other.drain_requested = false;
  EXPECT_NE(hash_of(stamp, other), reference);
  EXPECT_NE(hash_of(stamp, LockAcquired{in_world(1), LockKind::Spin, false}), hash_of(stamp, LockAcquired{in_world(1), LockKind::Cancel, false}));
  EXPECT_NE(hash_of(stamp, OrderReleased{in_world(1)}), hash_of(stamp, OrderAcquired{in_world(1)}));
  EXPECT_NE(hash_of(stamp, DebugPrinted{"abc", 3}), hash_of(stamp, DebugPrinted{"abd", 3}));
}

TEST(TraceHash, SeesTheOrderOfEvents) {
  TraceHash one, other;
  const Speaker first{one}, second{other};
  first.at(1, DrainRequested{0});
  first.at(1, DrainRequested{1});
  second.at(1, DrainRequested{1});
  second.at(1, DrainRequested{0});
  EXPECT_NE(one.value(), other.value());
}

TEST(TraceHash, TellsDifferentHostObjectsApart) {
  int one = 0, two = 0;
  TraceHash same, different;
  Speaker{same}.at(1, OrderReleased{Address(&one)});
  Speaker{same}.at(2, OrderAcquired{Address(&one)});
  Speaker{different}.at(1, OrderReleased{Address(&one)});
  Speaker{different}.at(2, OrderAcquired{Address(&two)});
  EXPECT_NE(same.value(), different.value());
}

// Which the next build of it moves.
TEST(TraceHash, WhereSomethingLiesInKdpcsOwnLibraryDoesNotCount) {
  const auto hash_of = [](const void* address) {
    TraceHash hash;
    Speaker{hash}.at(1, OrderAcquired{Address(address)});
    return hash.value();
  };
  const auto in_the_library = [](auto* function) { return reinterpret_cast<const void*>(function); };
  EXPECT_EQ(hash_of(in_the_library(&lab::take_notes)), hash_of(in_the_library(&lab::notes_lost)));
  EXPECT_NE(hash_of(in_the_library(&lab::take_notes)), hash_of(in_the_library(&routine_in_the_executable)));
  EXPECT_NE(hash_of(in_the_library(&routine_in_the_executable)), hash_of(&in_the_executable));
}

TEST(TraceHash, RewindsToAMark) {
  int first = 0, second = 0;
  TraceHash hash;
  const Speaker speaker{hash};
  speaker.at(1, OrderReleased{Address(&first)});
  const std::size_t mark = hash.mark();
  const std::uint64_t before = hash.value();
  speaker.at(2, OrderReleased{Address(&second)});
  const std::uint64_t once = hash.value();
  int third = 0;
  speaker.at(3, OrderReleased{Address(&third)});
  hash.rewind(mark);
  EXPECT_EQ(hash.value(), before);
  EXPECT_EQ(hash.events(), 1u);
  speaker.at(2, OrderReleased{Address(&third)});  // the second host object again
  EXPECT_EQ(hash.value(), once);
}
