// The resolution of the clock: SEMANTICS TIM-18, 6.5, and what time says then (TIME-2, TIME-3).
#include <wdm.h>

#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/timer_pair.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kQuantumEnd = 2;  // WaitReason

ULONG current_resolution() {
  ULONG longest = 0, shortest = 0, current = 0;
  ExQueryTimerResolution(&longest, &shortest, &current);
  KDPC_EXPECT_EQ(longest, kTick);
  KDPC_EXPECT_EQ(shortest, 10'000u);
  return current;
}

KDPC_TEST(TimerResolution, IsOnlyEverMadeFinerAndReturned) {
  RULE("TIM-18");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(current_resolution(), kTick);
    KDPC_EXPECT_EQ(ExSetTimerResolution(20'000, TRUE), 20'000u);
    KDPC_EXPECT_EQ(ExSetTimerResolution(50'000, TRUE), 20'000u);  // coarser: stays
    KDPC_EXPECT_EQ(ExSetTimerResolution(1, TRUE), 10'000u);       // as fine as the clock can
    KDPC_EXPECT_EQ(current_resolution(), 10'000u);
  });
}

KDPC_TEST(TimerResolution, IsRestoredWhenAllWhoAskedHaveTakenItBack) {
  RULE("TIM-18");
  m.on(0, APC_LEVEL, [] {
    ExSetTimerResolution(20'000, TRUE);
    ExSetTimerResolution(10'000, TRUE);
    KDPC_EXPECT_EQ(ExSetTimerResolution(0, FALSE), 10'000u);
    KDPC_EXPECT_EQ(ExSetTimerResolution(0, FALSE), kTick);
    KDPC_EXPECT_EQ(ExSetTimerResolution(0, FALSE), kTick);  // once too often
    KDPC_EXPECT_EQ(ExSetTimerResolution(30'000, TRUE), 30'000u);
    KDPC_EXPECT_EQ(ExSetTimerResolution(0, FALSE), kTick);
  });
}

KDPC_TEST(TimerResolution, IsRefusedAboveApcLevel) {
  RULE("TIM-18");
  m.on(0, DISPATCH_LEVEL, [] { ExSetTimerResolution(10'000, TRUE); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}

KDPC_TEST(TimerResolution, DoesNotChangeTheTimeIncrement) {
  RULE("TIM-18");
  RULE("TIME-3");
  m.on(0, PASSIVE_LEVEL, [] {
    ExSetTimerResolution(10'000, TRUE);
    KDPC_EXPECT_EQ(KeQueryTimeIncrement(), kTick);
  });
}

KDPC_TEST(TimerResolution, ShortenedInterruptsMoveTimeAndLookAtTimersAndNothingElse, .processors = 2) {
  RULE("TIM-18");
  reset();
  m.run_for(20ms);
  static ULONGLONG ticks_before;
  m.on(0, PASSIVE_LEVEL, [] {
    ticks_before = tick_count();
    ExSetTimerResolution(10'000, TRUE);
    prepare(one, "1");
    KeSetTargetProcessorDpc(&one.dpc, 1);
    KeSetTimerEx(&one.timer, in_ms(3), 3, &one.dpc);
  });
  m.forget_events();
  const auto accounted = m.processor_state(1).idle_ticks + m.processor_state(1).dpc_ticks;
  m.run_for(100ms);
  // A tick still comes every 15.625 ms, with shortened interrupts between, a millisecond apart.
  for (unsigned processor = 0; processor < 2; ++processor) {
    std::size_t full = 0, all = 0;
    kdpc::Nanoseconds last = 0;
    for (const auto& tick : m.events("clock-ticked")) {
      if (tick.processor != processor) continue;
      ++all;
      full += tick["full"];
      EXPECT_EQ(tick["full"] != 0, tick["interrupt_time"] % kTick == 0);
      EXPECT_LE(tick.time - last, last == 0 ? tick.time : 1'010'000u);
      last = tick.time;
    }
    EXPECT_EQ(full, 6u) << processor;
    EXPECT_GE(all, 100u) << processor;
  }
  EXPECT_GE(runs, 25);  // every third or fourth millisecond instead of every tick
  EXPECT_EQ(m.processor_state(1).idle_ticks + m.processor_state(1).dpc_ticks - accounted, 6u);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(tick_count() - ticks_before, 6u); });
}

KDPC_TEST(TimerResolution, DoesNotShortenTheQuantumOrTheWatchdog, .options = {{"dpc_watchdog_period", "10"}}) {
  RULE("TIM-18");
  m.on(0, PASSIVE_LEVEL, [] { ExSetTimerResolution(10'000, TRUE); });
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(130'000); });  // eight ticks, 130 interrupts
  EXPECT_NO_FINDINGS();
  // Two busy threads: each change from one to the other, or back, is the end of a quantum.
  static ULONG_PTR threads[2];
  const auto busy = [&m](int index) {
    return m.start(0, PASSIVE_LEVEL, [index] {
      threads[index] = reinterpret_cast<ULONG_PTR>(PsGetCurrentThreadId());
      for (int turn = 0; turn < 100; ++turn) KeStallExecutionProcessor(1'000);
    });
  };
  m.forget_events();
  const auto first = busy(0), second = busy(1);
  EXPECT_TRUE(m.run_until([&] { return first.done() && second.done(); }, 1s));
  std::vector<std::uint64_t> ticks;
  for (const auto& event : m.events("thread-switched", {{"why", kQuantumEnd}}))
    if (event["from"] == threads[0] || event["from"] == threads[1]) ticks.push_back(event.time / kTickNanoseconds);
  ASSERT_EQ(ticks.size(), 6u);  // 200 ms are twelve ticks
  for (std::size_t index = 1; index < ticks.size(); ++index) EXPECT_EQ(ticks[index] - ticks[index - 1], 2u) << index;
}

KDPC_TEST(TimerResolution, TakesEffectAtOnceAndOnEveryProcessor, .processors = 4) {
  RULE("TIM-18");
  m.run_for(17ms);
  m.on(3, PASSIVE_LEVEL, [] { ExSetTimerResolution(10'000, TRUE); });
  m.forget_events();
  m.run_for(2ms);
  for (unsigned processor = 0; processor < 4; ++processor) {
    bool seen = false;
    for (const auto& tick : m.events("clock-ticked")) seen = seen || tick.processor == processor;
    EXPECT_TRUE(seen) << processor;
  }
}

KDPC_TEST(TimerResolution, MissedFullTicksAreMadeUpForAndMissedShortOnesAreNot) {
  RULE("TIM-18");
  m.on(0, PASSIVE_LEVEL, [] { ExSetTimerResolution(10'000, TRUE); });
  m.run_for(20ms);
  static ULONGLONG ticks;
  m.forget_events();
  m.on(0, CLOCK_LEVEL, [] {
    ticks = tick_count();
    KeStallExecutionProcessor(100'000);
  });
  std::size_t full = 0, all = 0;
  for (const auto& tick : m.events("clock-ticked")) {
    ++all;
    full += tick["full"];
  }
  EXPECT_EQ(full, 6u);
  EXPECT_EQ(all - full, 1u);  // of a hundred
  m.run_for(2ms);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(tick_count() - ticks, 6u);
    const ULONGLONG count = performance_count();
    KDPC_EXPECT(KeQueryInterruptTime() + 20'000 >= count, KeQueryInterruptTime(), count);
  });
}

KDPC_TEST(Time, TheTickCountIsInFullTicksWhateverTheResolution) {
  RULE("TIME-2");
  m.on(0, PASSIVE_LEVEL, [] { ExSetTimerResolution(10'000, TRUE); });
  m.run_for(100ms);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(tick_count(), 6u);
    KDPC_EXPECT_EQ(tick_count(), KeQueryInterruptTime() / KeQueryTimeIncrement());
    KDPC_EXPECT(KeQueryInterruptTime() % KeQueryTimeIncrement() != 0);
  });
}

KDPC_TEST(Time, ThePreciseVariantsAgreeAndNeverLieBeforeTheOthers) {
  RULE("TIME-2");
  m.run_for(20ms);
  m.on(0, PASSIVE_LEVEL, [] {
    for (int round = 0; round < 50; ++round) {
      KeStallExecutionProcessor(731);
      ULONG64 stamp = 0, unbiased_stamp = 0;
      const ULONGLONG before = performance_count();
      // Asked first, so that a clock interrupt between two questions makes no difference.
      const ULONGLONG on_the_tick = KeQueryInterruptTime(), system_time_on_the_tick = system_time();
      const ULONGLONG time = KeQueryInterruptTimePrecise(&stamp);
      const ULONGLONG unbiased = KeQueryUnbiasedInterruptTimePrecise(&unbiased_stamp);
      LARGE_INTEGER precise_system_time;
      KeQuerySystemTimePrecise(&precise_system_time);
      const auto precise = static_cast<ULONGLONG>(precise_system_time.QuadPart);
      KDPC_EXPECT(stamp >= before && unbiased_stamp >= stamp && performance_count() >= unbiased_stamp);
      KDPC_EXPECT(unbiased >= time && unbiased - time < 100, unbiased, time);
      KDPC_EXPECT(time >= on_the_tick && time - on_the_tick < kTick + 100, time, on_the_tick);
      KDPC_EXPECT(precise >= system_time_on_the_tick && precise - system_time_on_the_tick < kTick + 100, precise, system_time_on_the_tick);
    }
  });
}

}  // namespace
