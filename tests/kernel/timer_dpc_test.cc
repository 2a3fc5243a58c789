// The DPC of a timer: on which processor, how and when it is called. SEMANTICS 7.4, 7.5.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/timer_pair.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kDpc = 1;  // ActivityKind
constexpr std::uint64_t kTimerDpc = 2;

// -- TIM-13: which processor ----------------------------------------------------------------------------------------------------------------

KDPC_TEST(TimerTable, IsTheOneOfTheTargetOfTheDpc, .processors = 4) {
  RULE("TIM-13");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTargetProcessorDpc(&one.dpc, 3);
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  EXPECT_EQ(m.events("timer-set", {{"timer", m.address_of(&one.timer)}}).at(0)["processor"], 3u);
  EXPECT_EQ(m.events("timer-expired", {{"timer", m.address_of(&one.timer)}}).at(0).processor, 3u);
  EXPECT_EQ(calls[0].processor, 3u);
}

KDPC_TEST(TimerTable, OfAnUntargetedTimerIsTheOneOfTheProcessorThatSetIt, .processors = 4) {
  RULE("TIM-13");
  reset();
  m.on(2, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeInitializeTimer(&two.timer);
    KeSetTimer(&two.timer, in_ms(20), nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  EXPECT_EQ(calls[0].processor, 2u);
  for (Pair* pair : {&one, &two}) EXPECT_EQ(m.events("timer-expired", {{"timer", m.address_of(&pair->timer)}}).at(0).processor, 2u);
}

KDPC_TEST(TimerTable, OfAnUntargetedTimerCanBeProcessorZerosByOption, .processors = 4, .options = {{"untargeted_timer", "processor_zero"}}) {
  RULE("TIM-13");
  reset();
  m.on(2, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    prepare(two, "2");
    KeSetTargetProcessorDpc(&two.dpc, 3);
    KeSetTimer(&two.timer, in_ms(50), &two.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, 1s));
  EXPECT_EQ(calls[0].processor, 0u);
  EXPECT_EQ(calls[1].processor, 3u);
}

// -- TIM-14, TIM-15: how the DPC is called --------------------------------------------------------------------------------------------------

ULONGLONG time_in(const Call& call) { return reinterpret_cast<ULONGLONG>(call.argument1) | reinterpret_cast<ULONGLONG>(call.argument2) << 32; }

KDPC_TEST(TimerDpc, GetsTheSystemTimeOfTheExpiryPassInTwoHalves) {
  RULE("TIM-14");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    prepare(two, "2");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeSetTimer(&two.timer, in_ms(25), &two.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, 1s));
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(reinterpret_cast<ULONGLONG>(calls[run].argument1) >> 32, 0u);
    EXPECT_EQ(reinterpret_cast<ULONGLONG>(calls[run].argument2) >> 32, 0u);
    EXPECT_EQ(time_in(calls[run]), calls[0].system_time);
  }
  EXPECT_GT(calls[0].system_time >> 32, 0u);
}

KDPC_TEST(TimerDpc, OfATimerThatIsAlreadyDueGetsTheTimeOfTheCall) {
  RULE("TIM-14");
  reset();
  static ULONGLONG time_of_call;
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    time_of_call = system_time();
    KeSetTimer(&one.timer, hundreds_of_ns(0), &one.dpc);
    KeStallExecutionProcessor(40'000);
  });
  ASSERT_EQ(runs, 1);
  EXPECT_EQ(time_in(calls[0]), time_of_call);
  EXPECT_GT(calls[0].system_time, time_of_call);
}

// At Dispatch a High DPC is queued and a timer with a Low one becomes due; then the level falls.
void low_timer_dpc_against_high_dpc() {
  prepare(one, "t");
  prepare(two, "h");
  KeSetImportanceDpc(&one.dpc, LowImportance);
  KeSetImportanceDpc(&two.dpc, HighImportance);
  KeSetTimer(&one.timer, in_ms(10), &one.dpc);
  KeInsertQueueDpc(&two.dpc, nullptr, nullptr);
  KeStallExecutionProcessor(20'000);
}

KDPC_TEST(TimerDpc, IsCalledFromTheExpiryItselfAndItsImportanceIsIgnored) {
  RULE("TIM-15");
  reset();
  m.on(0, DISPATCH_LEVEL, low_timer_dpc_against_high_dpc);
  EXPECT_STREQ(order, "th");
  EXPECT_EQ(m.count("dpc-queued", {{"dpc", m.address_of(&one.dpc)}}), 0u);
  EXPECT_EQ(m.count("activity-began", {{"object", m.address_of(&one.dpc)}, {"kind", kTimerDpc}}), 1u);
  EXPECT_EQ(m.count("activity-began", {{"object", m.address_of(&two.dpc)}, {"kind", kDpc}}), 1u);
}

KDPC_TEST(TimerDpc, IsQueuedByOptionAndThenImportanceDecides, .options = {{"timer_dpc", "queued"}}) {
  RULE("TIM-15");
  reset();
  m.on(0, DISPATCH_LEVEL, low_timer_dpc_against_high_dpc);
  EXPECT_STREQ(order, "ht");
  EXPECT_EQ(m.count("dpc-queued", {{"dpc", m.address_of(&one.dpc)}}), 1u);
  EXPECT_EQ(m.count("activity-began", {{"object", m.address_of(&one.dpc)}, {"kind", kDpc}}), 1u);
}

// The same KDPC is queued by hand and belongs to a timer that becomes due.
void shared_with_an_insertion() {
  prepare(one, "t");
  KeSetTimer(&one.timer, in_ms(10), &one.dpc);
  KDPC_EXPECT_EQ(KeInsertQueueDpc(&one.dpc, reinterpret_cast<PVOID>(1), nullptr), TRUE);
  KeStallExecutionProcessor(20'000);
}

KDPC_TEST(TimerDpc, CalledDirectlyDoesNotMeetTheInsertionOfTheSameObject, .checks = {.off = {"dpc-shared-with-timer"}}) {
  RULE("TIM-15");
  reset();
  m.on(0, DISPATCH_LEVEL, shared_with_an_insertion);
  EXPECT_EQ(runs, 2);
  EXPECT_NE(calls[0].argument1, reinterpret_cast<PVOID>(1));
  EXPECT_EQ(calls[1].argument1, reinterpret_cast<PVOID>(1));
}

KDPC_TEST(TimerDpc, QueuedIsAbsorbedByTheInsertionOfTheSameObject, .options = {{"timer_dpc", "queued"}},
          .checks = {.off = {"dpc-shared-with-timer"}}) {
  RULE("TIM-15");
  reset();
  m.on(0, DISPATCH_LEVEL, shared_with_an_insertion);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].argument1, reinterpret_cast<PVOID>(1));
  EXPECT_EQ(m.count("dpc-refused", {{"dpc", m.address_of(&one.dpc)}}), 1u);
}

VOID NTAPI remove_itself(PKDPC Dpc, PVOID, PVOID, PVOID) {
  runs = runs + 1;
  KDPC_EXPECT_EQ(KeRemoveQueueDpc(Dpc), FALSE);
}

KDPC_TEST(TimerDpc, CalledDirectlyIsNeverQueuedAndCannotBeRemoved) {
  RULE("TIM-15");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1", remove_itself);
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KDPC_EXPECT_EQ(KeRemoveQueueDpc(&one.dpc), FALSE);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
}

KDPC_TEST(TimerDpc, WhoseTargetWasChangedAfterwardsGoesThroughTheOthersQueue, .processors = 2) {
  RULE("TIM-15");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeSetTargetProcessorDpc(&one.dpc, 1);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  EXPECT_EQ(m.events("timer-expired", {{"timer", m.address_of(&one.timer)}}).at(0).processor, 0u);
  EXPECT_EQ(m.events("dpc-queued", {{"dpc", m.address_of(&one.dpc)}}).at(0)["target"], 1u);
  EXPECT_EQ(calls[0].processor, 1u);
}

// -- TIM-21: batches ------------------------------------------------------------------------------------------------------------------------

constexpr int kBatch = 4;
Pair batch[kBatch + 1];

// The first DPC of the batch tries to stop all the others.
VOID NTAPI cancel_the_others(PKDPC, PVOID, PVOID, PVOID) {
  for (int index = 1; index < kBatch; ++index) {
    KDPC_EXPECT_EQ(KeCancelTimer(&batch[index].timer), FALSE);
    KDPC_EXPECT_EQ(KeRemoveQueueDpc(&batch[index].dpc), FALSE);
    KDPC_EXPECT_EQ(batch[index].timer.Header.SignalState, 1);
  }
  KDPC_EXPECT_EQ(KeCancelTimer(&batch[kBatch].timer), TRUE);  // the fifth is of the next batch
}

KDPC_TEST(TimerBatch, OfFourIsBeyondRecallWhenTheFirstOfItsDpcsRuns) {
  RULE("TIM-21");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (int index = 0; index <= kBatch; ++index) {
      prepare(batch[index], &"01234"[index], index == 0 ? cancel_the_others : record);
      KeSetTimer(&batch[index].timer, in_ms(20), &batch[index].dpc);
    }
  });
  m.run_for(200ms);
  EXPECT_STREQ(order, "123");
}

VOID NTAPI change_the_second(PKDPC, PVOID, PVOID, PVOID) { KeInitializeDpc(&two.dpc, remove_itself, nullptr); }

KDPC_TEST(TimerBatch, CapturesRoutineAndContextWhenTheTimerLeavesTheTable) {
  RULE("TIM-21");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1", change_the_second);
    prepare(two, "2");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeSetTimer(&two.timer, in_ms(20), &two.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  EXPECT_STREQ(order, "2");
}

VOID NTAPI look_at_the_second(PKDPC, PVOID, PVOID, PVOID) {
  KDPC_EXPECT(two.dpc.DpcData != nullptr);
  KDPC_EXPECT_EQ(KeRemoveQueueDpc(&two.dpc), TRUE);
}

// So that a flush, which queues behind it, waits for it.
KDPC_TEST(TimerBatch, HasQueuedWhatDoesNotRunFromItBeforeItsFirstDpcRuns) {
  RULE("TIM-21");
  RULE("FLU-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1", look_at_the_second);
    prepare(two, "2");
    KeInitializeThreadedDpc(&two.dpc, record, nullptr);
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeSetTimer(&two.timer, in_ms(20), &two.dpc);
  });
  m.run_for(60ms);
  EXPECT_STREQ(order, "");
}

KDPC_TEST(TimerBatch, IsOverWhenAFlushReturns) {
  RULE("TIM-21");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (Pair& pair : batch) {
      prepare(pair, "b");
      KeSetTimerEx(&pair.timer, in_ms(10), 10, &pair.dpc);
    }
    KeStallExecutionProcessor(20'000);
    for (Pair& pair : batch) KDPC_EXPECT_EQ(KeCancelTimer(&pair.timer), TRUE);
    KeFlushQueuedDpcs();
    const int so_far = runs;
    KDPC_EXPECT(so_far >= 5);
    LARGE_INTEGER pause = in_ms(50);
    KeDelayExecutionThread(KernelMode, FALSE, &pause);
    KDPC_EXPECT_EQ(runs, so_far);
  });
}

VOID NTAPI do_nothing(PKDPC, PVOID, PVOID, PVOID) {}

KDPC_TEST(TimerOrder, WhatWasDoneBeforeSettingIsOrderedBeforeTheRoutine) {
  static KTIMER timer;
  static KDPC its_dpc;
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&its_dpc, do_nothing, nullptr);
    KeInitializeTimer(&timer);
    LARGE_INTEGER due;
    due.QuadPart = -10000;
    KeSetTimer(&timer, due, &its_dpc);
  });
  m.run_for(std::chrono::milliseconds(40));
  EXPECT_EQ(m.count("order-released", {{"object", m.address_of(&its_dpc)}}), 1u);
  EXPECT_EQ(m.count("order-acquired", {{"object", m.address_of(&its_dpc)}}), 1u);
}

}  // namespace
