// A run is a pure function of its inputs: the same program gives the same events, hash and text in every process and directory.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdlib>

#include "kdpc/test.h"
#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "kernel/wait.h"

using namespace std::chrono_literals;

namespace kdpc {

namespace {

struct Work {
  Dpc dpcs[4];
  int runs = 0;
};

void KDPC_NTAPI count(Dpc*, void* context, void*, void*) { ++static_cast<Work*>(context)->runs; }

// Threads, DPCs on other processors, waits, host objects, a bug check at the end; everything that is printed about it.
std::string story_of_a_run() {
  std::string why;
  const auto machine = lab::Machine::create({.processors = 4}, why);
  if (machine == nullptr) return why;
  auto work = std::make_unique<Work>();
  std::vector<lab::Task> tasks;
  for (unsigned number = 0; number < 4; ++number)
    tasks.push_back(machine->start(number, Irql::Passive, [&work = *work, number] {
      dpc::initialize(work.dpcs[number], count, &work);
      dpc::set_target(work.dpcs[number], (number + 1) % 4);
      for (int i = 0; i < 20; ++i) {
        dpc::insert(&work.dpcs[number], nullptr, nullptr);
        wait::delay(-10'000 * (1 + static_cast<int>(number)));
      }
    }));
  machine->run_until([&] { return tasks[0].done() && tasks[1].done() && tasks[2].done() && tasks[3].done(); }, 10s);
  machine->on(2, Irql::Dispatch, [] { raise_for_driver(Irql::Passive); });
  std::string story = machine->outcome().report();
  for (const std::string& line : machine->last_events(400)) story += line + '\n';
  char hash[32];
  std::snprintf(hash, sizeof hash, "%016" PRIx64 "\n", machine->trace_hash());
  return story + machine->processor_table() + hash;
}

std::string story_of_another_process(const char* directory) {
  char self[4096] = {};
  if (::readlink("/proc/self/exe", self, sizeof self - 1) <= 0) return "no /proc/self/exe";
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::setenv("SOMETHING_TO_MOVE_THE_STACK", std::string(5000, 'x').c_str(), 1);
    if (::chdir(directory) == 0)
      ::execl(self, self, "--gtest_also_run_disabled_tests", "--gtest_filter=Determinism.DISABLED_TellForAnotherProcess", nullptr);
    ::_exit(1);
  }
  ::close(ends[1]);
  std::string output;
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;) output.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  const auto begin = output.find("STORY\n"), end = output.find("END\n");
  return begin == std::string::npos || end == std::string::npos ? output : output.substr(begin + 6, end - begin - 6);
}

}  // namespace

TEST(Determinism, DISABLED_TellForAnotherProcess) { std::printf("STORY\n%sEND\n", story_of_a_run().c_str()); }

TEST(Determinism, ARunIsTheSameTwiceInOneProcess) { EXPECT_EQ(story_of_a_run(), story_of_a_run()); }

TEST(Determinism, ARunIsTheSameInAnotherProcessAndDirectory) {
  const std::string here = story_of_a_run();
  EXPECT_NE(here.find("bug check 0xc4"), std::string::npos) << here;
  EXPECT_EQ(story_of_another_process("/"), here);
  EXPECT_EQ(story_of_another_process("/tmp"), here);
}

}  // namespace kdpc
