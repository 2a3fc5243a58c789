// Which idle processors take clock interrupts: SEMANTICS ADP-1, both readings of the option `idle_ticks`.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/timer_pair.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

std::size_t ticks_of(kdpc::lab::Machine& m, unsigned processor) {
  std::size_t count = 0;
  for (const auto& tick : m.events("clock-ticked")) count += tick.processor == processor ? 1 : 0;
  return count;
}

// A Low DPC for a halted processor, of which nobody tells it.
void insert_low_for_processor_one() {
  prepare(one, "1");
  KeSetImportanceDpc(&one.dpc, LowImportance);
  KeSetTargetProcessorDpc(&one.dpc, 1);
  KeInsertQueueDpc(&one.dpc, nullptr, nullptr);
}

KDPC_TEST(IdleTicks, OfAllProcessorsBoundTheWaitOfADeferredDpcByOneTick, .processors = 2, .options = {{"idle_low_medium", "wait"}}) {
  RULE("ADP-1");
  reset();
  m.run_for(20ms);
  m.on(0, PASSIVE_LEVEL, insert_low_for_processor_one);
  EXPECT_EQ(runs, 0);
  m.run_for(16ms);
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(IdleTicks, OfTheTimekeeperOnlyLeaveADeferredDpcWaitingUntilSomethingElseWakes, .processors = 2,
          .options = {{"idle_low_medium", "wait"}, {"idle_ticks", "timekeeper_only"}}) {
  RULE("ADP-1");
  reset();
  m.run_for(20ms);
  m.on(0, PASSIVE_LEVEL, insert_low_for_processor_one);
  m.run_for(1s);
  EXPECT_EQ(runs, 0);
  EXPECT_GE(ticks_of(m, 0), 64u);
  EXPECT_LE(ticks_of(m, 1), 1u);
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(two, "2");
    KeSetImportanceDpc(&two.dpc, HighImportance);
    KeSetTargetProcessorDpc(&two.dpc, 1);
    KeInsertQueueDpc(&two.dpc, nullptr, nullptr);
  });
  m.run_for(1ms);
  EXPECT_STREQ(order, "21");
}

KDPC_TEST(IdleTicks, OfTheTimekeeperOnlyDelayNoTimer, .processors = 3, .options = {{"idle_ticks", "timekeeper_only"}}) {
  RULE("TIM-6");
  reset();
  m.run_for(100ms);
  m.on(1, PASSIVE_LEVEL, [] {  // in its own table, and then idle
    prepare(one, "1");
    KeSetTimerEx(&one.timer, in_ms(50), 100, &one.dpc);
  });
  m.on(0, PASSIVE_LEVEL, [] {  // in the table of a processor that is idle already
    prepare(two, "2");
    KeSetTargetProcessorDpc(&two.dpc, 2);
    KeSetTimerEx(&two.timer, in_ms(50), 100, &two.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 20; }, 3s));
  for (int run = 0; run < 20; run += 2) {
    EXPECT_EQ(calls[run].interrupt_time, calls[run + 1].interrupt_time) << run;
    EXPECT_EQ(calls[run].interrupt_time, calls[0].interrupt_time + static_cast<ULONGLONG>(run / 2) * 7 * kTick) << run;  // 100 ms are seven ticks
    EXPECT_NE(calls[run].processor, 0u);
  }
  // One interrupt for each expiry, not one for each tick.
  EXPECT_LE(ticks_of(m, 2), 14u);
  EXPECT_GE(ticks_of(m, 0), 60u);
}

KDPC_TEST(IdleTicks, OfTheTimekeeperOnlyDelayNoAbsoluteTimerWhenTheSystemTimeIsSetForward, .processors = 2,
          .options = {{"idle_ticks", "timekeeper_only"}}) {
  RULE("TIM-2");
  reset();
  static ULONGLONG now;
  m.run_for(100ms);
  m.on(1, PASSIVE_LEVEL, [] {
    prepare(one, "a");
    now = system_time();
    KeSetTimer(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(now + 3600'0000'000)), &one.dpc);
  });
  m.run_for(100ms);
  EXPECT_EQ(runs, 0);
  m.set_system_time(now + 3600'0000'000);  // processor 1 has put off its ticks by an hour
  m.run_for(20ms);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].processor, 1u);
}

KDPC_TEST(IdleTicks, OfAProcessorThatHasWorkAgainComeAsBefore, .processors = 2, .options = {{"idle_ticks", "timekeeper_only"}}) {
  RULE("ADP-1");
  m.run_for(101ms);
  m.forget_events();
  m.on(1, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(100'000); });
  EXPECT_GE(ticks_of(m, 1), 6u);
  for (const auto& tick : m.events("clock-ticked")) EXPECT_LT(tick.time % kTickNanoseconds, 10'000u);
}

KDPC_TEST(IdleTicks, ComeForHighResolutionTimersEverywhere, .processors = 2, .options = {{"idle_ticks", "timekeeper_only"}}) {
  RULE("TIM-18");
  m.run_for(100ms);
  m.on(0, PASSIVE_LEVEL, [] { ExSetTimerResolution(10'000, TRUE); });
  m.forget_events();
  m.run_for(100ms);
  EXPECT_GE(ticks_of(m, 1), 99u);
}

KDPC_TEST(IdleTicks, AreNotMissedByAThreadThatWakesOnAnIdleProcessor, .processors = 2, .options = {{"idle_ticks", "timekeeper_only"}}) {
  RULE("TIM-6");
  m.on(1, PASSIVE_LEVEL, [] {
    for (int round = 0; round < 20; ++round) {
      LARGE_INTEGER pause = hundreds_of_ns(-100'000 * (round + 1));
      const ULONGLONG before = performance_count();
      KeDelayExecutionThread(KernelMode, FALSE, &pause);
      const ULONGLONG took = performance_count() - before;
      KDPC_EXPECT(took >= static_cast<ULONGLONG>(-pause.QuadPart) && took <= static_cast<ULONGLONG>(-pause.QuadPart) + kTick + 200, took, round);
    }
  });
}

}  // namespace
