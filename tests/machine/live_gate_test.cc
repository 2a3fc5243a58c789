// All processors of the live machine stand still while the host looks, wherever each of them is, and so does their time.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "kernel/ipi.h"
#include "kernel/scheduler.h"
#include "kernel/wait.h"
#include "tests/machine/inside.h"
#include "tests/machine/polled.h"

namespace kdpc {

using namespace inside;

// Levels go up and down on the way into the gate and out of it; the host sees the one that the code has.
TEST(LiveGate, AFrozenProcessorShowsTheLevelOfItsCode) {
  const World world;
  std::atomic<bool> there{false}, stop{false};
  const auto task = start(0, Irql::Dispatch, [&] {
    for (there = true; !stop;) look_if_polled();
  });
  EXPECT_EQ(host::run_until([&] { return there.load(); }, 10 * kSecond).how, host::Ended::ConditionMet);
  unsigned asked = 0, wrong = 0;
  const auto count = [&] {
    if (host::irql_of_processor(0) != Irql::Dispatch) ++wrong;
    return ++asked % 5 == 0;
  };
  while (asked < 5'000) ASSERT_EQ(host::run_until(count, 10 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(wrong, 0u);
  stop = true;
  EXPECT_EQ(host::run_until([&] { return task->done; }, 10 * kSecond).how, host::Ended::ConditionMet);
}

// One waits for all others at Ipi, some of which are frozen already, while the next one has been interrupted with a lock of the kernel in its hands.
TEST(LiveGate, TheHostFindsNoLockOfTheKernelHeldHoweverProcessorsWaitForEachOther) {
  constexpr unsigned kProcessors = 4;
  Options patient;  // where the host has little time for all of them
  patient.ipi_time_limit_ms = patient.clock_watchdog_ticks = 0;
  const World world({.processors = kProcessors, .options = patient});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> calls{0}, holds{0};
  std::vector<Task> all;
  all.push_back(start(0, Irql::Passive, [&] {
    for (; !stop; ++calls) ipi::call_everywhere([](std::uintptr_t argument) KDPC_NTAPI { return argument; }, 0);
  }));
  all.push_back(start(1, Irql::Passive, [&] {
    for (; !stop; ++holds) {
      const Irql previous = scheduler::acquire_dispatcher_lock();
      for (volatile unsigned turn = 0; turn < 1'000; turn = turn + 1) look_if_polled();
      scheduler::release_dispatcher_lock(previous);
    }
  }));
  for (unsigned number = 2; number < kProcessors; ++number)
    all.push_back(start(number, Irql::Passive, [&] {
      while (!stop) look_if_polled();
    }));
  unsigned asked = 0, held = 0;
  const auto count = [&] {
    if (!sys().dispatcher_lock.is_free() || !sys().ipi_call.lock.is_free()) ++held;
    return ++asked >= 100 || host::now() > 5 * kSecond;
  };
  const host::Outcome counted = host::run_until(count, 60 * kSecond);
  EXPECT_EQ(counted.how, host::Ended::ConditionMet) << (counted.report ? counted.report->sentence : "");
  EXPECT_EQ(held, 0u);
  EXPECT_GT(calls, 0u);
  EXPECT_GT(holds, 0u);
  stop = true;
  const auto all_done = [&] { return std::all_of(all.begin(), all.end(), [](const Task& task) { return task->done; }); };
  EXPECT_EQ(host::run_until(all_done, 60 * kSecond).how, host::Ended::ConditionMet);
  std::printf("%llu calls, %llu holds, %llu ms\n", static_cast<unsigned long long>(calls), static_cast<unsigned long long>(holds),
              static_cast<unsigned long long>(host::now() / kMillisecond));
}

TEST(LiveGate, AHostThatWaitsForWhatAFrozenProcessorHoldsIsToldSo) {
  EXPECT_EXIT(
      {
        const World world({.processors = 2});
        std::atomic<bool> held{false};
        start(1, Irql::Passive, [&] {
          scheduler::acquire_dispatcher_lock();
          for (held = true; held;) look_if_polled();
        });
        host::run_until([&] { return held.load(); }, 10 * kSecond);
        scheduler::acquire_dispatcher_lock();
      },
      testing::ExitedWithCode(70), "the host waits for a processor, and all of them stand still");
}

// Nothing but the host ends this.
TEST(LiveGate, AProcessorThatSpinsForEverAtHighCanBeLookedAtAndThrownAway) {
  NEEDS_SIGNALS;
  const World world({.processors = 2});
  volatile bool there = false;
  start(1, Irql::High, [&] {
    there = true;
    while (there) {
    }
  });
  EXPECT_EQ(host::run_until([&] { return there; }, 10 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(host::irql_of_processor(1), Irql::High);
  int runs = 0;
  on(0, Irql::Passive, [&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

// A debugger, a condition that prints: the clocks of the host go on, for longer than a watchdog would wait.
TEST(LiveGate, TimeStandsStillHoweverLongTheHostLooks) {
  const World world({.processors = 2});
  std::atomic<bool> stop{false};
  std::uint64_t longest = 0, delays = 0, backwards = 0;
  const auto computing = start(0, Irql::Passive, [&] {
    for (std::uint64_t last = Machine::now(), now; !stop; last = now) {
      now = Machine::now();
      if (now < last) ++backwards;
      longest = std::max(longest, now - last);
      look_if_polled();
    }
  });
  const auto idling = start(1, Irql::Passive, [&] {
    for (; !stop; ++delays) wait::delay(-10'000);
  });
  const auto host_start = std::chrono::steady_clock::now();
  unsigned asked = 0, moved = 0;
  std::uint64_t delays_at_looks[2] = {};
  const auto look = [&] {
    ++asked;
    if (asked % 5 != 0) return asked > 12 && delays >= delays_at_looks[1] + 3;
    const std::uint64_t before = host::now();
    if (asked <= 10) {
      delays_at_looks[asked / 5 - 1] = delays;
      std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    }
    if (host::now() != before) ++moved;
    return false;
  };
  EXPECT_EQ(host::run_until(look, 60 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(moved, 0u);
  const std::uint64_t host_took =
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - host_start).count());
  EXPECT_LT(host::now(), host_took - 2'900 * kMillisecond);
  EXPECT_GT(delays_at_looks[1], delays_at_looks[0]);  // a second of time was in between
  stop = true;
  EXPECT_EQ(host::run_until([&] { return computing->done && idling->done; }, 10 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(backwards, 0u);
  EXPECT_LT(longest, 1'400 * kMillisecond);
  EXPECT_NEAR(static_cast<double>(sys().tick_count), static_cast<double>(host::now()) / static_cast<double>(kClockIncrementNanoseconds), 64);
}

}  // namespace kdpc
