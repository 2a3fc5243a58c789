// Setting, cancelling and expiring timers: SEMANTICS 7.1 to 7.4.
#include <wdm.h>

#include <cstring>
#include <limits>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/timer_pair.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kDpc = 1;  // ActivityKind::Dpc

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

KDPC_TEST(TimerObject, ANotificationTimerStaysSignalledUntilItIsSetAgain, .simulated_only = "looks before 20 milliseconds are over") {
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

KDPC_TEST(TimerObject, ThatIsOverwrittenWhileItIsSetIsFoundWhenItExpires) {
  RULE("TIM-1");
  static KTIMER timer;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, in_ms(20), nullptr);
    timer.Processor = 0x1991;
  });
  run_to_its_end(m, 40ms);
  EXPECT_BUGCHECK(0x139, 3);
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

KDPC_TEST(TimerDueTime, NegativeIsRelativeInUnitsOf100Nanoseconds, .simulated_only = "says when each tick comes") {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    const ULONGLONG now = KeQueryInterruptTime();
    KeSetTimer(&one.timer, in_ms(50), &one.dpc);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, now + 500'000);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
  // Seen on the first tick that is not before it: 50 ms lie between the ticks at 46.875 and 62.5 ms.
  EXPECT_EQ(calls[0].interrupt_time, 4 * kTick);
  EXPECT_EQ(calls[0].irql, DISPATCH_LEVEL);
}

KDPC_TEST(TimerDueTime, PositiveIsAbsoluteSystemTime, .simulated_only = "says when each tick comes") {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimer(&one.timer, hundreds_of_ns(static_cast<LONGLONG>(system_time() + 500'000)), &one.dpc);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, KeQueryInterruptTime() + 500'000);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
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

KDPC_TEST(TimerDueTime, ThePeriodIsInMilliseconds, .simulated_only = "says when each tick comes") {
  RULE("TIM-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KeSetTimerEx(&one.timer, in_ms(10), 125, &one.dpc);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 4; }, within(1s)));
  for (int run = 0; run < 4; ++run) EXPECT_EQ(calls[run].interrupt_time, (1 + 8 * run) * kTick) << run;  // 125 ms are eight ticks
  EXPECT_EQ(one.timer.Period, 125u);
}

// -- TIM-3, TIM-4: setting ------------------------------------------------------------------------------------------------------------------

KDPC_TEST(TimerSet, TellsWhetherTheTimerWasSetAndCancelsThatSetting, .simulated_only = "says when each tick comes") {
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
  EXPECT_EQ(runs, 1);  // neither the first due time, nor the first DPC, nor the period
  EXPECT_EQ(calls[0].dpc, &two.dpc);
  EXPECT_EQ(calls[0].interrupt_time, 7 * kTick);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeSetTimer(&one.timer, in_ms(20), nullptr), FALSE); });
}

KDPC_TEST(TimerSet, AnActivePeriodicTimerIsPracticallyAlwaysInTheQueue, .simulated_only = "looks before 16 milliseconds are over") {
  RULE("TIM-3");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KDPC_EXPECT_EQ(KeSetTimerEx(&one.timer, in_ms(16), 16, &one.dpc), FALSE);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 3; }, within(1s)));
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeSetTimerEx(&one.timer, in_ms(16), 16, &one.dpc), TRUE); });
}

KDPC_TEST(TimerSet, AboveDispatchIsRefused) {
  RULE("TIM-3");
  reset();
  m.on(0, DISPATCH_LEVEL + 1, [] { KeSetTimer(&one.timer, in_ms(20), nullptr); });
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

KDPC_TEST(TimerCancel, OfAOneShotIsFalseOnceItHasExpiredEvenIfItsDpcIsStillQueued, .simulated_only = "looks before 20 milliseconds are over") {
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

KDPC_TEST(TimerCancel, PreventsAnExpiryThatIsDueButThatNoDrainHasSeen, .simulated_only = "counts on no tick in between") {
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

constexpr ULONG kTag = 0x6d697454;  // "Ttim"
Pair* freed;
VOID NTAPI free_the_pair(PKDPC, PVOID, PVOID, PVOID) {
  ExFreePoolWithTag(freed, kTag);
  runs = runs + 1;
}
void allocate_pair() {
  freed = static_cast<Pair*>(ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(Pair), kTag));
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
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, within(1s)));
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
  m.run_until([] { return runs == 1; }, within(1s));
  EXPECT_BUGCHECK(0xC4, 0x15, &freed->timer, 0, freed);
}

// -- TIM-10: what expiring does -------------------------------------------------------------------------------------------------------------

int released = 0;
void wait_for_one() {
  KDPC_EXPECT_EQ(KeWaitForSingleObject(&one.timer, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
  ++released;
}

KDPC_TEST(TimerExpiry, OfANotificationTimerReleasesAllWaiters, .simulated_only = "looks before 40 milliseconds are over") {
  RULE("TIM-10");
  reset();
  released = 0;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeTimerEx(&one.timer, NotificationTimer); });
  for (int waiter = 0; waiter < 3; ++waiter) m.start(0, PASSIVE_LEVEL, wait_for_one);
  m.on(0, PASSIVE_LEVEL, [] { KeSetTimer(&one.timer, in_ms(40), nullptr); });
  EXPECT_TRUE(m.run_until([] { return released == 3; }, within(1s)));
  EXPECT_EQ(one.timer.Header.SignalState, 1);
  EXPECT_EQ(one.timer.Header.Inserted, 0);
}

KDPC_TEST(TimerExpiry, OfASynchronizationTimerReleasesOneWaiterAndResets, .simulated_only = "looks before 40 milliseconds are over") {
  RULE("TIM-10");
  reset();
  released = 0;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeTimerEx(&one.timer, SynchronizationTimer); });
  for (int waiter = 0; waiter < 3; ++waiter) m.start(0, PASSIVE_LEVEL, wait_for_one);
  m.on(0, PASSIVE_LEVEL, [] { KeSetTimerEx(&one.timer, in_ms(40), 100, nullptr); });
  m.run_for(100ms);
  EXPECT_EQ(released, 1);
  EXPECT_EQ(one.timer.Header.SignalState, 0);
  EXPECT_EQ(one.timer.Header.Inserted, 1);  // periodic: back in the table
  EXPECT_TRUE(m.run_until([] { return released == 3; }, within(1s)));
}

VOID NTAPI look_at_own_timer(PKDPC, PVOID Context, PVOID, PVOID) {
  const auto& pair = *static_cast<const Pair*>(Context);
  runs = runs + 1;
  KDPC_EXPECT_EQ(pair.timer.Header.SignalState, 1);
  KDPC_EXPECT_EQ(pair.timer.Header.Inserted != 0, pair.timer.Period != 0);
  KDPC_EXPECT(pair.dpc.DpcData == nullptr);
}

KDPC_TEST(TimerExpiry, ComesBeforeTheDpcAndAPeriodicTimerIsBackInTheTableByThen, .simulated_only = "looks before 50 milliseconds are over") {
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
  EXPECT_TRUE(m.run_until([] { return runs == 4; }, within(1s)));
}

KDPC_TEST(TimerExpiry, TheNextPeriodCountsFromTheProcessingAndMissedPeriodsAreNotCaughtUp, .simulated_only = "says when each tick comes") {
  RULE("TIM-10");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(one, "1");
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeSetTimerEx(&one.timer, in_ms(10), 20, &one.dpc);
    KeStallExecutionProcessor(200'000);  // nine periods go by
    KDPC_EXPECT_EQ(runs, 0);
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(runs, 1);
    KDPC_EXPECT_EQ(one.timer.DueTime.QuadPart, calls[0].interrupt_time + 200'000);
  });
  m.run_for(1ms);
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(m.run_until([] { return runs == 2; }, within(1s)));
  EXPECT_EQ(calls[1].interrupt_time - calls[0].interrupt_time, 2 * kTick);
}

// -- misuse -----------------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(TimerMisuse, InitializingATimerThatIsSetIsAFinding, .simulated_only = "looks before 50 milliseconds are over") {
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

}  // namespace
