// The tables timers wait in, and on how many processors one DPC can run at a time: SEMANTICS TIM-11, TIM-12, TIM-17, TIM-21.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/timer_pair.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

// -- TIM-12: order --------------------------------------------------------------------------------------------------------------------------

constexpr ULONG kTickMicroseconds = 15'625;

// Due `tenths` of a tick after interrupt time 0.
Pair many[1000];
void set_at(int index, const char* name, ULONGLONG tenths) {
  prepare(many[index], name);
  KeSetTimer(&many[index].timer, hundreds_of_ns(static_cast<LONGLONG>(KeQueryInterruptTime()) - static_cast<LONGLONG>(tenths * kTick / 10)),
             &many[index].dpc);
}

KDPC_TEST(TimerOrder, WithinOneHandIsThatOfTheDueTimesAndThenThatOfSetting) {
  RULE("TIM-12");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    set_at(0, "d", 28);
    set_at(1, "c", 25);
    set_at(2, "a", 21);
    set_at(3, "e", 28);
    set_at(4, "b", 23);
  });
  m.run_for(100ms);
  EXPECT_STREQ(order, "abcde");
  EXPECT_EQ(calls[0].interrupt_time, calls[4].interrupt_time);
}

// A drain that comes after more ticks than the table has hands walks them once, so that what is due a whole round later comes along.
void four_timers_and_a_late_drain(ULONG ticks) {
  reset();
  set_at(0, "a", 15);    // hand 1
  set_at(1, "c", 75);    // hand 7
  set_at(2, "b", 2595);  // hand 3, the next round
  set_at(3, "d", 2635);  // hand 7 again
  KeStallExecutionProcessor(ticks * kTickMicroseconds);
}

KDPC_TEST(TimerOrder, OfALittleLateDrainIsThatOfTheDueTimes) {
  RULE("TIM-12");
  m.on(0, DISPATCH_LEVEL, [] { four_timers_and_a_late_drain(100); });
  EXPECT_STREQ(order, "ac");
  m.run_for(5s);
  EXPECT_STREQ(order, "acbd");
}

KDPC_TEST(TimerOrder, AcrossHandsIsThatOfTheHands) {
  RULE("TIM-12");
  m.on(0, DISPATCH_LEVEL, [] { four_timers_and_a_late_drain(300); });
  EXPECT_STREQ(order, "abcd");
  EXPECT_LT(many[1].timer.DueTime.QuadPart, many[2].timer.DueTime.QuadPart);
}

// -- TIM-11: one DPC on two processors ------------------------------------------------------------------------------------------------------

volatile LONG inside = 0, most_inside = 0;
volatile ULONG seen_on = 0;  // processors
volatile ULONG stall = 0;    // of the first call
VOID NTAPI count_who_is_inside(PKDPC, PVOID, PVOID, PVOID) {
  const LONG now_inside = InterlockedIncrement(&inside);
  if (now_inside > most_inside) most_inside = now_inside;
  seen_on = seen_on | 1u << KeGetCurrentProcessorNumber();
  const ULONG time = static_cast<ULONG>(InterlockedExchange(reinterpret_cast<volatile LONG*>(&stall), 0));
  KeStallExecutionProcessor(time);
  runs = runs + 1;
  InterlockedDecrement(&inside);
}

void set_periodic(ULONG stall_of_first, int target = -1) {
  reset();
  inside = 0;
  most_inside = 0;
  seen_on = 0;
  stall = stall_of_first;
  prepare(one, "1", count_who_is_inside);
  if (target >= 0) KeSetTargetProcessorDpc(&one.dpc, static_cast<CCHAR>(target));
  KeSetTimerEx(&one.timer, in_ms(10), 10, &one.dpc);
}

KDPC_TEST(TimerConcurrency, OneTablePerProcessorKeepsThePeriodicDpcToItself, .processors = 2) {
  RULE("TIM-11");
  m.on(0, PASSIVE_LEVEL, [] { set_periodic(80'000); });
  m.run_for(300ms);
  EXPECT_GE(runs, 8);
  EXPECT_EQ(most_inside, 1);
  EXPECT_EQ(seen_on, 1u);
}

KDPC_TEST(TimerConcurrency, InTheGlobalTableAnotherProcessorTakesTheNextExpiry, .processors = 2, .options = {{"timer_table", "global"}}) {
  RULE("TIM-11");
  RULE("TIM-12");
  m.on(0, PASSIVE_LEVEL, [] { set_periodic(80'000); });
  m.run_for(300ms);
  EXPECT_GE(runs, 12);
  EXPECT_EQ(most_inside, 2);
  EXPECT_EQ(seen_on, 3u);
}

KDPC_TEST(TimerConcurrency, SettingItAnewElsewhereMovesItToAnotherTable, .processors = 2) {
  RULE("TIM-11");
  m.on(0, PASSIVE_LEVEL, [] { set_periodic(80'000); });
  m.run_until([] { return inside == 1; }, 1s);
  m.on(1, PASSIVE_LEVEL, [] { KeSetTimerEx(&one.timer, in_ms(10), 10, &one.dpc); });
  m.run_for(200ms);
  EXPECT_EQ(most_inside, 2);
  EXPECT_EQ(seen_on, 3u);
}

KDPC_TEST(TimerConcurrency, AQueuedDpcThatIsRetargetedWhileItRunsComesTwice, .processors = 3, .options = {{"timer_table", "global"}}) {
  RULE("TIM-11");
  m.on(0, PASSIVE_LEVEL, [] { set_periodic(80'000, 1); });  // processor 0 expires it, and can only queue the DPC for processor 1
  m.run_until([] { return inside == 1; }, 1s);
  m.on(0, PASSIVE_LEVEL, [] { KeSetTargetProcessorDpc(&one.dpc, 2); });
  m.run_for(60ms);
  EXPECT_GE(m.count("dpc-queued", {{"dpc", m.address_of(&one.dpc)}}), 2u);
  EXPECT_EQ(most_inside, 2);
  EXPECT_EQ(seen_on, 6u);
}

// A periodic timer for processor 1, which does not drain for twelve ticks.
int runs_while_its_processor_is_busy(kdpc::lab::Machine& m) {
  m.on(0, PASSIVE_LEVEL, [] { set_periodic(0, 1); });
  m.on(1, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(200'000); });
  m.on(0, PASSIVE_LEVEL, [] { KeCancelTimer(&one.timer); });
  return runs;
}

KDPC_TEST(TimerConcurrency, AQueuedDpcAbsorbsExpiries, .processors = 2, .options = {{"timer_table", "global"}}) {
  RULE("TIM-11");
  EXPECT_EQ(runs_while_its_processor_is_busy(m), 1);
  EXPECT_GE(m.count("timer-expired"), 11u);
  EXPECT_EQ(m.count("dpc-refused"), m.count("timer-expired") - 1);
}

KDPC_TEST(TimerConcurrency, InDirectModeEachExpiryThatIsProcessedIsOneCall, .processors = 2) {
  RULE("TIM-11");
  EXPECT_EQ(runs_while_its_processor_is_busy(m), 1);
  EXPECT_EQ(m.count("timer-expired"), 1u);  // nobody else looks at that table
  EXPECT_EQ(m.count("dpc-refused"), 0u);
}

// -- TIM-17 ---------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(TimerDpc, RunsWhenTheLevelFallsOnItsOwnProcessorAndNotOnAny, .processors = 2) {
  RULE("TIM-17");
  reset();
  auto busy = m.start(1, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(100'000); });
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTargetProcessorDpc(&one.dpc, 1);
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    for (int round = 0; round < 50; ++round) {
      KIRQL old;
      KeRaiseIrql(DISPATCH_LEVEL, &old);
      KeStallExecutionProcessor(1'000);
      KeLowerIrql(old);
    }
    KDPC_EXPECT_EQ(runs, 0);
  });
  EXPECT_TRUE(m.run_until([&] { return busy.done() && runs == 1; }, 1s));
  EXPECT_EQ(calls[0].processor, 1u);
}

// -- TIM-21: many timers on one tick -----------------------------------------------------------------------------------------------------------

int cancelled = 0;
// One tries to cancel others that are due with it: of those in later batches it is in time.
VOID NTAPI cancel_those_behind(PKDPC Dpc, PVOID, PVOID, PVOID) {
  runs = runs + 1;
  const auto index = CONTAINING_RECORD(Dpc, Pair, dpc) - many;
  if (index != 500) return;
  for (const int other : {501, 502, 503}) KDPC_EXPECT_EQ(KeCancelTimer(&many[other].timer), FALSE);
  for (const int other : {504, 601, 999}) cancelled += KeCancelTimer(&many[other].timer) ? 1 : 0;
}

KDPC_TEST(TimerBatch, AThousandTimersOfOneTickAreOneDrainInBatchesOfFour, .processors = 2) {
  RULE("6.3");
  RULE("TIM-21");
  reset();
  cancelled = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    for (Pair& pair : many) {
      prepare(pair, "t", cancel_those_behind);
      KeSetTimer(&pair.timer, in_ms(20), &pair.dpc);
    }
  });
  m.forget_events();
  m.run_for(50ms);
  // Numbers 501 to 503 are of the same batch as 500 and beyond recall; 504 is the first of the next.
  EXPECT_EQ(cancelled, 3);
  EXPECT_EQ(runs, 997);
  EXPECT_EQ(m.count("timer-expired"), 997u);
  std::size_t drains = 0;
  const auto expired = m.events("timer-expired");
  for (const auto& drain : m.events("drain-began")) drains += drain.time < expired.back().time && drain.time > expired.front().time - 10'000 ? 1 : 0;
  EXPECT_EQ(drains, 1u);
  // The dispatcher lock was let go between the batches.
  std::size_t holds = 0;
  for (const auto& lock : m.events("lock-released"))
    holds += lock.time >= expired.front().time && lock.time <= expired.back().time && lock["kind"] == 3 ? 1 : 0;
  EXPECT_GE(holds, 248u);
}

KDPC_TEST(TimerBatch, LetsOtherProcessorsIn, .processors = 2) {
  RULE("TIM-21");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (Pair& pair : many) {
      prepare(pair, "t");
      KeSetTimer(&pair.timer, in_ms(20), &pair.dpc);
    }
  });
  auto other = m.start(1, PASSIVE_LEVEL, [] {
    while (runs < 10) KeStallExecutionProcessor(1);
    KEVENT event;
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeSetEvent(&event, 0, FALSE);  // takes the dispatcher lock
    KDPC_EXPECT(runs < 500, runs);
  });
  EXPECT_TRUE(m.run_until([&] { return runs == 1000 && other.done(); }, 1s));
}

}  // namespace
