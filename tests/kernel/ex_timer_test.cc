// Timers that the system allocates: SEMANTICS TIM-19.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr ULONGLONG kMs = 10'000;

PEX_TIMER timer;
volatile int runs = 0;
volatile int deletions = 0;
ULONGLONG ran_at[64];
KIRQL level_of_callback, level_of_deletion;
ULONG processor_of_callback;
PEX_TIMER seen_timer;
PVOID seen_context, seen_delete_context;
int runs_at_deletion;
ULONG stall_in_callback = 0;

VOID NTAPI callback(PEX_TIMER Timer, PVOID Context) {
  ran_at[runs % 64] = performance_count();
  level_of_callback = KeGetCurrentIrql();
  processor_of_callback = KeGetCurrentProcessorNumber();
  seen_timer = Timer;
  seen_context = Context;
  if (stall_in_callback != 0) KeStallExecutionProcessor(stall_in_callback);
  runs = runs + 1;
}

VOID NTAPI deleted(PVOID Context) {
  level_of_deletion = KeGetCurrentIrql();
  seen_delete_context = Context;
  runs_at_deletion = runs;
  deletions = deletions + 1;
}

void allocate(ULONG attributes = 0, PEXT_CALLBACK its_callback = callback) {
  runs = 0;
  deletions = 0;
  stall_in_callback = 0;
  timer = ExAllocateTimer(its_callback, &runs_at_deletion, attributes);
  KDPC_EXPECT(timer != nullptr);
}

BOOLEAN remove(BOOLEAN cancel, BOOLEAN wait) {
  EXT_DELETE_PARAMETERS parameters;
  ExInitializeDeleteTimerParameters(&parameters);
  parameters.DeleteCallback = deleted;
  parameters.DeleteContext = &seen_timer;
  return ExDeleteTimer(timer, cancel, wait, &parameters);
}

LONGLONG after_ms(LONGLONG milliseconds) { return -milliseconds * static_cast<LONGLONG>(kMs); }
NTSTATUS wait_for_timer(LONGLONG limit_ms) {
  LARGE_INTEGER limit = in_ms(limit_ms);
  return KeWaitForSingleObject(timer, Executive, KernelMode, FALSE, &limit);
}

// -- setting, cancelling --------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ExTimer, CallsItsCallbackOnceAtDispatch) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    KDPC_EXPECT_EQ(ExSetTimer(timer, after_ms(50), 0, nullptr), FALSE);
  });
  m.run_for(500ms);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(level_of_callback, DISPATCH_LEVEL);
  EXPECT_EQ(seen_timer, timer);
  EXPECT_EQ(seen_context, &runs_at_deletion);
  EXPECT_EQ(m.count("activity-began", {{"routine", m.address_of(&callback)}}), 1u);  // whose time it is
}

KDPC_TEST(ExTimer, ThatIsPeriodicCountsIn100Nanoseconds) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    ExSetTimer(timer, after_ms(50), 1'250'000, nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 5; }, 2s));
  for (int run = 1; run < 5; ++run) EXPECT_NEAR(static_cast<double>(ran_at[run] - ran_at[run - 1]), 1'250'000, 100);
}

KDPC_TEST(ExTimer, SettingTellsWhetherAPendingOneWasCancelled) {
  RULE("TIM-19");
  m.on(0, DISPATCH_LEVEL, [] {
    allocate();
    KDPC_EXPECT_EQ(ExSetTimer(timer, after_ms(50), 0, nullptr), FALSE);
    KDPC_EXPECT_EQ(ExSetTimer(timer, after_ms(100), 0, nullptr), TRUE);
    KDPC_EXPECT_EQ(ExCancelTimer(timer, nullptr), TRUE);
    KDPC_EXPECT_EQ(ExCancelTimer(timer, nullptr), FALSE);
    KDPC_EXPECT_EQ(ExSetTimer(timer, after_ms(30), 0, nullptr), FALSE);
  });
  m.run_for(300ms);
  EXPECT_EQ(runs, 1);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(ExCancelTimer(timer, nullptr), FALSE);
    KDPC_EXPECT_EQ(ExSetTimer(timer, 0, 0, nullptr), FALSE);  // already due
    KDPC_EXPECT_EQ(runs, 2);
  });
}

KDPC_TEST(ExTimer, IsASynchronizationTimerUnlessItIsToBeANotificationTimer) {
  RULE("TIM-19");
  for (const ULONG attributes : {0ul, static_cast<unsigned long>(EX_TIMER_NOTIFICATION)}) {
    m.on(0, PASSIVE_LEVEL, [attributes] {
      allocate(static_cast<ULONG>(attributes), nullptr);  // no callback: the driver waits
      ExSetTimer(timer, after_ms(20), 0, nullptr);
      KDPC_EXPECT_EQ(wait_for_timer(500), STATUS_SUCCESS);
      KDPC_EXPECT_EQ(wait_for_timer(20), attributes == 0 ? STATUS_TIMEOUT : STATUS_SUCCESS);
      KDPC_EXPECT_EQ(ExDeleteTimer(timer, TRUE, TRUE, nullptr), FALSE);
    });
  }
}

KDPC_TEST(ExTimer, ThatDoesNotWakeExpiresOnTheTickOfAnAwakeProcessor) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(EX_TIMER_NO_WAKE);
    EXT_SET_PARAMETERS parameters;
    ExInitializeSetTimerParameters(&parameters);
    KDPC_EXPECT_EQ(parameters.NoWakeTolerance, 0);
    parameters.NoWakeTolerance = EX_TIMER_UNLIMITED_TOLERANCE;
    ExSetTimer(timer, after_ms(20), 0, &parameters);
  });
  m.run_for(33ms);
  EXPECT_EQ(runs, 1);
}

// -- high resolution ------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(HighResolutionTimer, IsNeverEarlyAndLateByAboutAMillisecond, .processors = 2) {
  RULE("TIM-19");
  static ULONGLONG set_at;
  for (int round = 0; round < 40; ++round) {
    m.run_for(std::chrono::microseconds(3'000 + round * 777));
    m.on(round % 2, PASSIVE_LEVEL, [round] {
      allocate(EX_TIMER_HIGH_RESOLUTION);
      set_at = performance_count();
      ExSetTimer(timer, -(1 + round * 3'331), 0, nullptr);
    });
    ASSERT_TRUE(m.run_until([] { return runs == 1; }, 1s));
    const ULONGLONG took = ran_at[0] - set_at, wanted = 1 + static_cast<ULONGLONG>(round) * 3'331;
    EXPECT_GE(took, wanted);
    EXPECT_LE(took, wanted + 11'000) << round;
    m.on(0, PASSIVE_LEVEL, [] { ExDeleteTimer(timer, TRUE, TRUE, nullptr); });
  }
}

KDPC_TEST(HighResolutionTimer, ThatIsPeriodicKeepsTime) {
  RULE("TIM-19");
  static ULONGLONG set_at;
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(EX_TIMER_HIGH_RESOLUTION);
    set_at = performance_count();
    ExSetTimer(timer, after_ms(5), 47'500, nullptr);
  });
  ASSERT_TRUE(m.run_until([] { return runs == 60; }, 1s));
  for (int run = 0; run < 60; ++run) {
    const ULONGLONG nominal = set_at + 50'000 + static_cast<ULONGLONG>(run) * 47'500;
    EXPECT_GE(ran_at[run], nominal) << run;
    EXPECT_LE(ran_at[run], nominal + 11'000) << run;
  }
}

KDPC_TEST(HighResolutionTimer, MakesTheClockFasterWhileItIsSetAndOnlyThen) {
  RULE("TIM-19");
  const auto ticks_in_100ms = [&m] {
    m.forget_events();
    m.run_for(100ms);
    return m.count("clock-ticked");
  };
  EXPECT_LE(ticks_in_100ms(), 7u);
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(EX_TIMER_HIGH_RESOLUTION);
    ExSetTimer(timer, after_ms(150), 0, nullptr);
  });
  EXPECT_GE(ticks_in_100ms(), 100u);
  m.run_for(70ms);
  EXPECT_EQ(runs, 1);
  EXPECT_LE(ticks_in_100ms(), 7u);
  m.on(0, PASSIVE_LEVEL, [] {
    ExSetTimer(timer, after_ms(100), 10'000, nullptr);
    KDPC_EXPECT_EQ(ExDeleteTimer(timer, TRUE, FALSE, nullptr), TRUE);
  });
  m.run_for(2ms);
  EXPECT_LE(ticks_in_100ms(), 7u);
}

KDPC_TEST(HighResolutionTimer, WantsARelativeTime) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(EX_TIMER_HIGH_RESOLUTION);
    ExSetTimer(timer, 0, 0, nullptr);
  });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, timer, 0);
}

KDPC_TEST(HighResolutionTimer, CannotAlsoBeOneThatDoesNotWake) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] { ExAllocateTimer(callback, nullptr, EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE); });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, 0, EX_TIMER_HIGH_RESOLUTION | EX_TIMER_NO_WAKE);
}

// -- deleting -------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(ExTimerDeletion, OfOneThatIsNotPendingIsDoneWhenTheCallReturns) {
  RULE("TIM-19");
  for (const BOOLEAN cancel : {BOOLEAN{FALSE}, BOOLEAN{TRUE}}) {
    m.on(0, PASSIVE_LEVEL, [cancel] {
      allocate();
      KDPC_EXPECT_EQ(remove(cancel, FALSE), FALSE);
      KDPC_EXPECT_EQ(deletions, 1);
    });
  }
  EXPECT_EQ(level_of_deletion, DISPATCH_LEVEL);
  EXPECT_EQ(seen_delete_context, &seen_timer);
  EXPECT_EQ(m.count("pool-allocated", {{"tag", 0x6d547845}}), m.count("pool-freed", {{"tag", 0x6d547845}}));
}

KDPC_TEST(ExTimerDeletion, WithCancelCancelsAndSaysSo) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    ExSetTimer(timer, after_ms(20), 10'000, nullptr);
    KDPC_EXPECT_EQ(remove(TRUE, FALSE), TRUE);
    KDPC_EXPECT_EQ(deletions, 1);
  });
  m.run_for(200ms);
  EXPECT_EQ(runs, 0);
}

KDPC_TEST(ExTimerDeletion, WithoutCancelLetsItExpireOnceMore) {
  RULE("TIM-19");
  for (const LONGLONG period : {0ll, 100'000ll}) {
    m.on(0, PASSIVE_LEVEL, [period] {
      allocate();
      ExSetTimer(timer, after_ms(20), period, nullptr);
      KDPC_EXPECT_EQ(remove(FALSE, FALSE), FALSE);
      KDPC_EXPECT_EQ(deletions, 0);
      // Disabled from now on.
      KDPC_EXPECT_EQ(ExSetTimer(timer, after_ms(1), 0, nullptr), FALSE);
      KDPC_EXPECT_EQ(ExCancelTimer(timer, nullptr), FALSE);
      KDPC_EXPECT_EQ(ExDeleteTimer(timer, TRUE, FALSE, nullptr), FALSE);
    });
    m.run_for(200ms);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(deletions, 1);
    EXPECT_EQ(runs_at_deletion, 1);  // after the callback
  }
}

KDPC_TEST(ExTimerDeletion, WithWaitReturnsWhenTheCallbackHasAndTheDeleteCallbackToo, .processors = 2) {
  RULE("TIM-19");
  m.on(1, PASSIVE_LEVEL, [] {
    allocate();
    stall_in_callback = 5'000;
    ExSetTimer(timer, after_ms(1), 0, nullptr);
  });
  m.run_until([] { return ran_at[0] != 0 && processor_of_callback == 1; }, 1s);
  EXPECT_EQ(runs, 0);  // in the callback now
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(remove(TRUE, TRUE), FALSE);  // too late to cancel
    KDPC_EXPECT_EQ(runs, 1);
    KDPC_EXPECT_EQ(deletions, 1);
  });
  ran_at[0] = 0;
}

VOID NTAPI delete_itself(PEX_TIMER Timer, PVOID) {
  KDPC_EXPECT_EQ(ExDeleteTimer(Timer, TRUE, FALSE, nullptr), FALSE);
  KDPC_EXPECT_EQ(ExSetTimer(Timer, after_ms(1), 0, nullptr), FALSE);  // still a timer, though disabled
  runs = runs + 1;
}

KDPC_TEST(ExTimerDeletion, MayBeAskedForByTheCallback) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(0, delete_itself);
    ExSetTimer(timer, after_ms(20), 0, nullptr);
  });
  m.run_for(100ms);
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(m.count("pool-freed", {{"tag", 0x6d547845}}), 1u);
}

VOID NTAPI wait_for_itself(PEX_TIMER Timer, PVOID) { ExDeleteTimer(Timer, TRUE, TRUE, nullptr); }

KDPC_TEST(ExTimerDeletion, MustNotBeWaitedForByTheCallback) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate(0, wait_for_itself);
    ExSetTimer(timer, after_ms(20), 0, nullptr);
  });
  m.run_for(100ms);
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL, timer);
}

KDPC_TEST(ExTimerDeletion, CannotBeWaitedForWithoutCancelling) {
  RULE("TIM-19");
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    ExDeleteTimer(timer, FALSE, TRUE, nullptr);
  });
  EXPECT_BUGCHECK(0x1E, 0xC000000D, timer);
}

KDPC_TEST(ExTimerDeletion, LeavesNothingThatCouldBeSet) {
  m.on(0, PASSIVE_LEVEL, [] {
    allocate();
    ExDeleteTimer(timer, TRUE, TRUE, nullptr);
    ExSetTimer(timer, after_ms(20), 0, nullptr);
  });
  EXPECT_BUGCHECK(0xC7, 0, timer);
}

// A queued DPC absorbs the expiries that come while it waits; the object is gone only after the one call they share.
KDPC_TEST(ExTimerDeletion, CountsExpiriesThatWereAbsorbedByTheQueue, .processors = 2, .options = {{"timer_dpc", "queued"}}) {
  RULE("TIM-19");
  m.on(0, DISPATCH_LEVEL, [] {
    allocate();
    for (int time = 0; time < 3; ++time) ExSetTimer(timer, 0, 0, nullptr);
    KDPC_EXPECT_EQ(runs, 0);
    KDPC_EXPECT_EQ(remove(TRUE, FALSE), FALSE);
    KDPC_EXPECT_EQ(deletions, 0);
  });
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(deletions, 1);
}

}  // namespace
