// Timers and their DPCs: SEMANTICS section 7.
#include <wdm.h>

#include <cstring>
#include <limits>

#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kTimerDpc = 2;  // ActivityKind::TimerDpc, ActivityKind::Dpc
constexpr std::uint64_t kDpc = 1;

struct Call {
  PKDPC dpc;
  PVOID argument1, argument2;
  ULONG processor;
  KIRQL irql;
  ULONGLONG interrupt_time, system_time;
};
Call calls[64];
volatile int runs = 0;
char order[64];

VOID NTAPI record(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  calls[runs % 64] = {Dpc, Argument1, Argument2, KeGetCurrentProcessorNumber(), KeGetCurrentIrql(), KeQueryInterruptTime(), system_time()};
  order[runs % 63] = Context == nullptr ? '?' : *static_cast<const char*>(Context);
  runs = runs + 1;
}

// One timer and its DPC, and a second pair.
struct Pair {
  KTIMER timer;
  KDPC dpc;
};
Pair one, two;

void prepare(Pair& pair, const char* name, PKDEFERRED_ROUTINE routine = record) {
  KeInitializeTimer(&pair.timer);
  KeInitializeDpc(&pair.dpc, routine, const_cast<char*>(name));
}

void reset() {
  runs = 0;
  std::memset(order, 0, sizeof order);
  std::memset(static_cast<void*>(&one), 0, sizeof one);
  std::memset(static_cast<void*>(&two), 0, sizeof two);
}

// -- TIM-1, TIM-2: objects and units --------------------------------------------------------------------------------------------------------

KDPC_TEST(TimerObject, InitialisationWritesWhatTheDocumentationSaysAndNothingElse) {
  RULE("TIM-1");
  static KTIMER timers[3];
  std::memset(static_cast<void*>(timers), 0x55, sizeof timers);
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeTimer(&timers[0]);
    KeInitializeTimerEx(&timers[1], NotificationTimer);
    KeInitializeTimerEx(&timers[2], SynchronizationTimer);
  });
  EXPECT_EQ(sizeof(KTIMER), 0x40u);
  const UCHAR types[] = {8, 8, 9};
  for (int index = 0; index < 3; ++index) {
    const KTIMER& timer = timers[index];
    EXPECT_EQ(timer.Header.Type, types[index]);
    EXPECT_EQ(timer.Header.TimerControlFlags, 0x55);
    EXPECT_EQ(timer.Header.Hand, sizeof(KTIMER) / sizeof(ULONG));
    EXPECT_EQ(timer.Header.Inserted, 0);
    EXPECT_EQ(timer.Header.SignalState, 0);
    EXPECT_EQ(timer.Header.WaitListHead.Flink, &timer.Header.WaitListHead);
    EXPECT_EQ(timer.Header.WaitListHead.Blink, &timer.Header.WaitListHead);
    EXPECT_EQ(timer.DueTime.QuadPart, 0u);
    EXPECT_EQ(timer.Period, 0u);
    EXPECT_EQ(timer.TimerListEntry.Flink, reinterpret_cast<PLIST_ENTRY>(0x5555555555555555));
    EXPECT_EQ(timer.Dpc, reinterpret_cast<PKDPC>(0x5555555555555555));
    EXPECT_EQ(timer.Processor, 0x5555);
  }
}

KDPC_TEST(TimerObject, ANotificationTimerStaysSignalledUntilItIsSetAgain) {
  RULE("TIM-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeTimerEx(&one.timer, NotificationTimer);
    KeSetTimer(&one.timer, in_ms(20), nullptr);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), FALSE);
    for (int wait = 0; wait < 3; ++wait) KDPC_EXPECT_EQ(KeWaitForSingleObject(&one.timer, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), TRUE);
    KeSetTimer(&one.timer, in_ms(20), nullptr);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), FALSE);
  });
}

KDPC_TEST(TimerObject, ASynchronizationTimerIsResetByOneRelease) {
  RULE("TIM-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeTimerEx(&one.timer, SynchronizationTimer);
    KeSetTimer(&one.timer, in_ms(20), nullptr);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&one.timer, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), FALSE);
    LARGE_INTEGER poll = hundreds_of_ns(0);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&one.timer, Executive, KernelMode, FALSE, &poll), STATUS_TIMEOUT);
  });
}

KDPC_TEST(TimerDueTime, NegativeIsRelativeInUnitsOf100Nanoseconds) {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    const ULONGLONG now = KeQueryInterruptTime();
    KeSetTimer(&one.timer, in_ms(50), &one.dpc);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, now + 500'000);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  // Seen on the first tick that is not before it: 50 ms lie between the ticks at 46.875 and 62.5 ms.
  EXPECT_EQ(calls[0].interrupt_time, 4 * kTick);
  EXPECT_EQ(calls[0].irql, DISPATCH_LEVEL);
}

KDPC_TEST(TimerDueTime, PositiveIsAbsoluteSystemTime) {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(system_time() + 500'000)), &one.dpc);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, KeQueryInterruptTime() + 500'000);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  EXPECT_EQ(calls[0].interrupt_time, 4 * kTick);
}

KDPC_TEST(TimerDueTime, ZeroAndThePastAreAlreadyDue) {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, hundreds_of_ns(0), &one.dpc);
    KDPC_EXPECT_EQ(runs, 1);
    KeSetTimer(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(system_time() - 1)), &one.dpc);
    KDPC_EXPECT_EQ(runs, 2);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), TRUE);
  });
}

KDPC_TEST(TimerDueTime, TheFarthestRelativeTimeIsNeverReached) {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, hundreds_of_ns(std::numeric_limits<LONGLONG>::min()), &one.dpc);
    KeInitializeTimer(&two.timer);
    KeSetTimer(&two.timer, in_ms(40), nullptr);
    LARGE_INTEGER forever = hundreds_of_ns(std::numeric_limits<LONGLONG>::min());
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&two.timer, Executive, KernelMode, FALSE, &forever), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), TRUE);
  });
  EXPECT_EQ(runs, 0);
}

KDPC_TEST(TimerDueTime, ThePeriodIsInMilliseconds) {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimerEx(&one.timer, in_ms(10), 125, &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 4; }, 1s));
  for (int run = 0; run < 4; ++run) EXPECT_EQ(calls[run].interrupt_time, (1 + 8 * run) * kTick) << run;  // 125 ms are eight ticks
  EXPECT_EQ(one.timer.Period, 125u);
}

// -- TIM-3, TIM-4: setting ------------------------------------------------------------------------------------------------------------------

KDPC_TEST(TimerSet, TellsWhetherTheTimerWasSetAndCancelsThatSetting) {
  RULE("TIM-3");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    prepare(two, "2");
    KDPC_EXPECT_EQ(KeSetTimer(&one.timer, in_ms(20), &one.dpc), FALSE);
    KDPC_EXPECT_EQ(KeSetTimer(&one.timer, in_ms(60), &two.dpc), TRUE);
    KDPC_EXPECT_EQ(KeSetTimerEx(&one.timer, in_ms(100), 20, &two.dpc), TRUE);
    KDPC_EXPECT_EQ(KeSetTimer(&one.timer, in_ms(100), &two.dpc), TRUE);
  });
  m.run_for(300ms);
  EXPECT_EQ(runs, 1);                       // neither the first due time, nor the first DPC, nor the period
  EXPECT_EQ(calls[0].dpc, &two.dpc);
  EXPECT_EQ(calls[0].interrupt_time, 7 * kTick);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeSetTimer(&one.timer, in_ms(20), nullptr), FALSE); });
}

KDPC_TEST(TimerSet, AnActivePeriodicTimerIsPracticallyAlwaysInTheQueue) {
  RULE("TIM-3");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KDPC_EXPECT_EQ(KeSetTimerEx(&one.timer, in_ms(16), 16, &one.dpc), FALSE);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 3; }, 1s));
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeSetTimerEx(&one.timer, in_ms(16), 16, &one.dpc), TRUE); });
}

KDPC_TEST(TimerSet, AboveDispatchIsRefused) {
  RULE("TIM-3");
  reset();
  m.on(0, DISPATCH_LEVEL + 1, [] {
    KeSetTimer(&one.timer, in_ms(20), nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL + 1);
}

KDPC_TEST(TimerSet, AlreadyDueItIsSignalledAndItsDpcRunsBeforeTheCallReturns) {
  RULE("TIM-4");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KDPC_EXPECT_EQ(KeSetTimer(&one.timer, hundreds_of_ns(0), &one.dpc), FALSE);
    KDPC_EXPECT_EQ(runs, 1);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), TRUE);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), FALSE);
  });
}

KDPC_TEST(TimerSet, AlreadyDueAtDispatchItsDpcIsQueuedAndWaitsForTheLevel) {
  RULE("TIM-4");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, hundreds_of_ns(0), &one.dpc);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), TRUE);
    KDPC_EXPECT(one.dpc.DpcData != nullptr);
    KDPC_EXPECT_EQ(runs, 0);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(m.count("dpc-queued", {{"dpc", m.address_of(&one.dpc)}}), 1u);
  EXPECT_EQ(m.count("activity-began", {{"object", m.address_of(&one.dpc)}, {"kind", kDpc}}), 1u);
}

// -- TIM-7, TIM-8, TIM-9: cancelling and freeing --------------------------------------------------------------------------------------------

KDPC_TEST(TimerCancel, OfAOneShotIsFalseOnceItHasExpiredEvenIfItsDpcIsStillQueued) {
  RULE("TIM-7");
  RULE("V-8");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), TRUE);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), FALSE);
    KeSetTimer(&one.timer, hundreds_of_ns(0), &one.dpc);
    KDPC_EXPECT(one.dpc.DpcData != nullptr);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), FALSE);
  });
  EXPECT_EQ(runs, 1);
  m.run_for(100ms);
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(TimerCancel, OfAnActivePeriodicIsTrueEvenIfItsDpcIsStillQueued) {
  RULE("TIM-7");
  RULE("V-8");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    KeSetTimerEx(&one.timer, hundreds_of_ns(0), 20, &one.dpc);
    KDPC_EXPECT(one.dpc.DpcData != nullptr);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), TRUE);
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), FALSE);
  });
  EXPECT_EQ(runs, 1);
  m.run_for(200ms);
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(TimerCancel, PreventsAnExpiryThatIsDueButThatNoDrainHasSeen) {
  RULE("TIM-7");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeStallExecutionProcessor(40'000);
    KDPC_EXPECT_EQ(KeReadStateTimer(&one.timer), FALSE);  // the clock has asked for a drain, which this level holds off
    KDPC_EXPECT_EQ(KeCancelTimer(&one.timer), TRUE);
  });
  m.run_for(100ms);
  EXPECT_EQ(runs, 0);
}

KDPC_TEST(TimerCancel, DoesNotTouchADpcThatIsAlreadyQueued) {
  RULE("TIM-8");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(one, "1");
    prepare(two, "2");
    KeSetTimer(&one.timer, hundreds_of_ns(0), &one.dpc);
    KeSetTimer(&two.timer, hundreds_of_ns(0), &two.dpc);
    KeCancelTimer(&one.timer);
    KeCancelTimer(&two.timer);
    KDPC_EXPECT(one.dpc.DpcData != nullptr);
    KDPC_EXPECT_EQ(KeRemoveQueueDpc(&two.dpc), TRUE);  // that is how a driver gets rid of it
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(calls[0].dpc, &one.dpc);
}

Pair* freed;
VOID NTAPI free_the_pair(PKDPC, PVOID, PVOID, PVOID) {
  ExFreePoolWithTag(freed, 'mitT');
  runs = runs + 1;
}
void allocate_pair() {
  freed = static_cast<Pair*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(Pair), 'mitT'));
  KDPC_EXPECT(freed != nullptr);
  prepare(*freed, "f", free_the_pair);
}

KDPC_TEST(TimerFree, TheDpcOfAOneShotMayFreeTheTimerAndItself) {
  RULE("TIM-9");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    allocate_pair();
    KeSetTimer(&freed->timer, in_ms(20), &freed->dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1s));
  m.run_for(100ms);
  EXPECT_EQ(runs, 1);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(TimerFree, TheDpcOfAPeriodicTimerMustNotBecauseItIsSetAgainAlready) {
  RULE("TIM-9");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    allocate_pair();
    KeSetTimerEx(&freed->timer, in_ms(20), 20, &freed->dpc);
  });
  m.run_until([] { return runs == 1; }, 1s);
  EXPECT_BUGCHECK(0xC7, 0, &freed->timer, freed, freed + 1);
}

// -- TIM-10: what expiring does -------------------------------------------------------------------------------------------------------------

int released = 0;
void wait_for_one() {
  KDPC_EXPECT_EQ(KeWaitForSingleObject(&one.timer, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
  ++released;
}

KDPC_TEST(TimerExpiry, OfANotificationTimerReleasesAllWaiters) {
  RULE("TIM-10");
  reset();
  released = 0;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeTimerEx(&one.timer, NotificationTimer); });
  for (int waiter = 0; waiter < 3; ++waiter) m.start(0, PASSIVE_LEVEL, wait_for_one);
  m.on(0, PASSIVE_LEVEL, [] { KeSetTimer(&one.timer, in_ms(40), nullptr); });
  EXPECT_TRUE(m.run_until([] { return released == 3; }, 1s));
  EXPECT_EQ(one.timer.Header.SignalState, 1);
  EXPECT_EQ(one.timer.Header.Inserted, 0);
}

KDPC_TEST(TimerExpiry, OfASynchronizationTimerReleasesOneWaiterAndResets) {
  RULE("TIM-10");
  reset();
  released = 0;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeTimerEx(&one.timer, SynchronizationTimer); });
  for (int waiter = 0; waiter < 3; ++waiter) m.start(0, PASSIVE_LEVEL, wait_for_one);
  m.on(0, PASSIVE_LEVEL, [] { KeSetTimerEx(&one.timer, in_ms(40), 100, nullptr); });
  m.run_for(100ms);
  EXPECT_EQ(released, 1);
  EXPECT_EQ(one.timer.Header.SignalState, 0);
  EXPECT_EQ(one.timer.Header.Inserted, 1);   // periodic: back in the table
  EXPECT_TRUE(m.run_until([] { return released == 3; }, 1s));
}

VOID NTAPI look_at_own_timer(PKDPC, PVOID Context, PVOID, PVOID) {
  const auto& pair = *static_cast<const Pair*>(Context);
  runs = runs + 1;
  KDPC_EXPECT_EQ(pair.timer.Header.SignalState, 1);
  KDPC_EXPECT_EQ(pair.timer.Header.Inserted != 0, pair.timer.Period != 0);
  KDPC_EXPECT(pair.dpc.DpcData == nullptr);
}

KDPC_TEST(TimerExpiry, ComesBeforeTheDpcAndAPeriodicTimerIsBackInTheTableByThen) {
  RULE("TIM-10");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (Pair* pair : {&one, &two}) {
      KeInitializeTimer(&pair->timer);
      KeInitializeDpc(&pair->dpc, look_at_own_timer, pair);
    }
    KeSetTimer(&one.timer, in_ms(20), &one.dpc);
    KeSetTimerEx(&two.timer, in_ms(20), 50, &two.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 4; }, 1s));
}

KDPC_TEST(TimerExpiry, TheNextPeriodCountsFromTheProcessingAndMissedPeriodsAreNotCaughtUp) {
  RULE("TIM-10");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeSetTimerEx(&one.timer, in_ms(10), 20, &one.dpc);
    KeStallExecutionProcessor(200'000);                  // nine periods go by
    KDPC_EXPECT_EQ(runs, 0);
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(runs, 1);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, calls[0].interrupt_time + 200'000);
  });
  m.run_for(1ms);
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, 1s));
  EXPECT_EQ(calls[1].interrupt_time - calls[0].interrupt_time, 2 * kTick);
}

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

KDPC_TEST(TimerDpc, CalledDirectlyDoesNotMeetTheInsertionOfTheSameObject) {
  RULE("TIM-15");
  reset();
  m.on(0, DISPATCH_LEVEL, shared_with_an_insertion);
  EXPECT_EQ(runs, 2);
  EXPECT_NE(calls[0].argument1, reinterpret_cast<PVOID>(1));
  EXPECT_EQ(calls[1].argument1, reinterpret_cast<PVOID>(1));
}

KDPC_TEST(TimerDpc, QueuedIsAbsorbedByTheInsertionOfTheSameObject, .options = {{"timer_dpc", "queued"}}) {
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

VOID NTAPI change_the_second(PKDPC, PVOID, PVOID, PVOID) {
  KeInitializeDpc(&two.dpc, remove_itself, nullptr);
}

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

KDPC_TEST(TimerMisuse, InitializingATimerThatIsSetIsAFinding) {
  static KTIMER set_timer;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeTimer(&set_timer);
    LARGE_INTEGER due;
    due.QuadPart = -500000;
    KeSetTimer(&set_timer, due, nullptr);
    KeInitializeTimer(&set_timer);
  });
  EXPECT_BUGCHECK(0x139, 3, &set_timer);
}

KDPC_TEST(TimerMisuse, SettingMemoryThatIsNoTimerIsAFinding) {
  static KTIMER garbage;
  std::memset(&garbage, 0x11, sizeof garbage);
  m.on(0, PASSIVE_LEVEL, [] { KeCancelTimer(&garbage); });
  EXPECT_BUGCHECK(0x0A, &garbage);
}

VOID NTAPI do_nothing(PKDPC, PVOID, PVOID, PVOID) {}

KDPC_TEST(TimerOrder, WhatWasDoneBeforeSettingIsOrderedBeforeTheRoutine) {
  static KTIMER one;
  static KDPC its_dpc;
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&its_dpc, do_nothing, nullptr);
    KeInitializeTimer(&one);
    LARGE_INTEGER due;
    due.QuadPart = -10000;
    KeSetTimer(&one, due, &its_dpc);
  });
  m.run_for(std::chrono::milliseconds(40));
  EXPECT_EQ(m.count("order-released", {{"object", m.address_of(&its_dpc)}}), 1u);
  EXPECT_EQ(m.count("order-acquired", {{"object", m.address_of(&its_dpc)}}), 1u);
}

}  // namespace
