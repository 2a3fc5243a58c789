// What the live machine alone does: real time, processors that run at once, and honest refusals of the rest.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernel/bugcheck.h"
#include "kernel/interrupt.h"
#include "kernel/wait.h"
#include "machine/live/lock.h"
#include "tests/machine/inside.h"
#include "tests/machine/polled.h"

namespace kdpc {

namespace {

using inside::kMillisecond;
using inside::kSecond;
using inside::on;

}  // namespace

TEST(LiveMachine, TimeIsTheHosts) {
  const inside::World world;
  const auto start = std::chrono::steady_clock::now();
  on(0, Irql::Passive, [] { Machine::stall(20 * kMillisecond); });
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST(LiveMachine, TimeStandsStillWhileTheHostDoesNotRunTheMachine) {
  const inside::World world;
  on(0, Irql::Passive, [] {});
  const std::uint64_t before = host::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(host::now(), before);
}

TEST(LiveMachine, ProcessorsAreRefusedThatCannotBe) {
  for (const unsigned processors : {0u, kMaxProcessors + 1}) {
    const auto created = host::create({.processors = processors});
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.error().what, "a machine has 1 to 64 processors, not " + std::to_string(processors));
  }
}

namespace {

// What create() says in a process whose host refuses these system calls. A child's exit says whether it began with `text`.
bool creation_is_refused(std::initializer_list<long> calls, int error, const std::string& text) {
  const pid_t child = ::fork();
  if (child != 0) {
    int status = -1;
    return child > 0 && ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  std::vector<sock_filter> program{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const long call : calls) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(call), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(error)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) ::_exit(2);
  const auto created = host::create({});
  if (!created && !created.error().what.starts_with(text)) std::fprintf(stderr, "%s\n", created.error().what.c_str());
  ::_exit(!created && created.error().what.starts_with(text) && !host::exists() ? 0 : 1);
}

}  // namespace

TEST(LiveMachine, AHostThatFencesNotAllProcessorsIsRefused) {
  EXPECT_TRUE(creation_is_refused({SYS_membarrier}, ENOSYS, "the live machine needs the host's fences on all processors"));
}

TEST(LiveMachine, AHostThatGivesNoThreadsIsRefused) {
  EXPECT_TRUE(creation_is_refused({SYS_clone, SYS_clone3}, EAGAIN, "the host does not give the machine the threads it begins with"));
}

TEST(LiveMachine, MoreProcessorsThanThisProcessMayUseAreTooMany) {
  cpu_set_t before, one;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  CPU_ZERO(&one);
  for (unsigned cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  {
    const inside::World world({.processors = 2});
    EXPECT_TRUE(live::shared().oversubscribed);
  }
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
}

TEST(LiveMachine, EveryProcessorRunsWhatItIsGiven) {
  const inside::World world({.processors = kMaxProcessors});
  for (unsigned number = 0; number < kMaxProcessors; ++number) {
    unsigned seen = kMaxProcessors;
    on(number, Irql::Dispatch, [&] { seen = Machine::here().number; });
    EXPECT_EQ(seen, number);
  }
}

TEST(LiveMachine, ProcessorsReallyRunAtOnce) {
  const inside::World world({.processors = 2});
  std::atomic<int> turn{0};
  const auto first = inside::start(0, Irql::Dispatch, [&] {
    for (int round = 0; round < 1000; ++round) {
      while (turn != 2 * round) Machine::spin_pause({});
      ++turn;
    }
  });
  const auto second = inside::start(1, Irql::Dispatch, [&] {
    for (int round = 0; round < 1000; ++round) {
      while (turn != 2 * round + 1) Machine::spin_pause({});
      ++turn;
    }
  });
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(turn, 2000);
}

// One wakes the other, and is woken by it.
TEST(LiveMachine, HoweverAProcessorIdlesItWakes) {
  for (const host::Idle idle : {host::Idle::BackOff, host::Idle::Spin, host::Idle::Block}) {
    const inside::World world({.processors = 2, .idle = idle});
    static EventObject events[2];
    wait::initialize_event(events[0], ObjectType::SynchronizationEvent, true);
    wait::initialize_event(events[1], ObjectType::SynchronizationEvent, false);
    const auto play = [](unsigned self) {
      for (int round = 0; round < 500; ++round) {
        wait::for_object(events[self].header, nullptr);
        wait::set_event(events[1 - self], 0);
      }
    };
    const auto first = inside::start(0, Irql::Passive, [play] { play(0); });
    const auto second = inside::start(1, Irql::Passive, [play] { play(1); });
    EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  }
}

// Code without a single window.
TEST(LiveMachine, InterruptsComeWhereverAProcessorIs) {
  NEEDS_SIGNALS;
  const inside::World world;
  std::uint64_t ticks = 0;
  on(0, Irql::Dispatch, [&] {
    const std::uint64_t before = sys().tick_count;
    while (sys().tick_count < before + 2) {
    }
    ticks = sys().tick_count - before;
  });
  EXPECT_GE(ticks, 2u);
}

// As a socket sends it, to any thread of the process: also to one that is older than the machine, and has nothing of its.
TEST(LiveMachine, TheSignalOfItsProcessorsMeansNothingToOtherThreads) {
  std::atomic<bool> now{false};
  std::thread other([&now] {
    now.wait(false);
    EXPECT_EQ(::pthread_kill(::pthread_self(), SIGURG), 0);
  });
  const inside::World world;
  now = true;
  now.notify_one();
  other.join();
  EXPECT_EQ(::pthread_kill(::pthread_self(), SIGURG), 0);
  int runs = 0;
  on(0, Irql::Passive, [&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(LiveMachine, ABugCheckOfWhatTheHostRunsEndsWithItsSentence) {
  EXPECT_EXIT(
      {
        const inside::World world;
        on(0, Irql::Passive, [] {});
        bug_check(stop::IrqlNotLessOrEqual, {}, "Nothing of it was true.", "test");
      },
      testing::ExitedWithCode(70), "bug check 0xA in code that the host runs: Nothing of it was true");
}

TEST(LiveMachine, CostsAreRefusedAsTheyAreOfVirtualTime) {
  const auto created = host::create({.costs = {{"isr_entry", 1}}});
  ASSERT_FALSE(created.ok());
  EXPECT_NE(created.error().what.find("isr_entry"), std::string::npos);
}

TEST(LiveMachine, ACheckpointIsRefusedWithASentence) {
  const inside::World world;
  const auto taken = host::checkpoint();
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.error().what.find("simulated machine"), std::string::npos);
}

namespace {

// Two level lines with one vector. Each stays asserted until its flag has been taken, so a service that finds no flag was called for nothing.
struct SharedVector {
  unsigned lines[2] = {};
  bool asserted[2] = {};
  live::Lock lock;  // a flag and its line are one
  std::atomic<std::uint64_t> served[2] = {}, calls{0}, for_nothing{0};

  static constexpr std::uint8_t kVector = 0x62;

  static unsigned char KDPC_NTAPI service(Interrupt*, void* context) {
    auto& self = *static_cast<SharedVector*>(context);
    const live::Locked locked(self.lock);
    bool any = false;
    for (unsigned index = 0; index < 2; ++index) {
      if (!std::exchange(self.asserted[index], false)) continue;
      host::set_line(self.lines[index], false);
      ++self.served[index];
      any = true;
    }
    ++self.calls;
    if (!any) ++self.for_nothing;
    return 1;
  }
  // False: it is asserted still.
  bool assert_line(unsigned index) {
    const live::Locked locked(lock);
    if (asserted[index]) return false;
    asserted[index] = true;
    host::set_line(lines[index], true);
    return true;
  }
};

}  // namespace

TEST(LiveMachine, ALevelLineIsServedAsOftenAsItIsAssertedAndNeverForNothing) {
  const inside::World world({.processors = 2});
  SharedVector vector;
  for (unsigned& line : vector.lines) {
    line = host::add_line(true);
    host::assign_line(line, SharedVector::kVector, true);
  }
  on(1, Irql::Passive, [&] {
    InterruptSpec spec{};
    spec.routine = SharedVector::service;
    spec.context = &vector;
    spec.vector = SharedVector::kVector;
    spec.irql = spec.synchronize_irql = irql_of(SharedVector::kVector);
    spec.trigger = Trigger::Level;
    spec.processors = ProcessorSet::only(1);
    Interrupt* interrupt = nullptr;
    EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
  });
  // The second comes in every moment of the first one's way to its service.
  constexpr std::uint64_t kEach = 12'000;
  std::thread device([&vector] {
    for (std::uint64_t count = 0; count < kEach; ++count) {
      while (!vector.assert_line(0)) std::this_thread::yield();
      for (volatile std::uint64_t wait = 0; wait < count % 2'000; wait = wait + 1) {
      }
      while (!vector.assert_line(1)) std::this_thread::yield();
    }
  });
  // The machine knows nothing of the thread, and calls it quiet when the host gives that no processor for two ticks.
  const auto all_served = [&] { return vector.served[0] == kEach && vector.served[1] == kEach; };
  host::Ended how;
  while ((how = host::run_until(all_served, 60 * kSecond).how) == host::Ended::Quiescent) {
  }
  EXPECT_EQ(how, host::Ended::ConditionMet);
  device.join();
  host::run_until(nullptr, 5 * kMillisecond);
  EXPECT_EQ(vector.for_nothing, 0u);
  EXPECT_GT(vector.calls, 1000u);
}

// Driver code is compiled to count the first word of the World down; here a loop does what the compiler would add.
TEST(LiveMachine, EdgesOfDriverCodeMeetTheClock) {
  const inside::World world;
  auto& budget = *reinterpret_cast<volatile std::int64_t*>(kWorldBase);
  std::uint64_t ticks = 0;
  on(0, Irql::Dispatch, [&] {
    const std::uint64_t before = sys().tick_count;
    while (sys().tick_count < before + 2) {
      budget = budget - 1;
      if (budget < 0) Machine::edge();
    }
    ticks = sys().tick_count - before;
  });
  EXPECT_GE(ticks, 2u);
}

}  // namespace kdpc
