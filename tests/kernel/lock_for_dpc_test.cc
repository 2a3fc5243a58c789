// Spin locks for threaded DPCs, which may find themselves at PASSIVE_LEVEL or at DISPATCH_LEVEL: SEMANTICS THR-4.
#include <wdm.h>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

KSPIN_LOCK lock;
KDPC dpc;

// What the two forms of lock did in a DPC: the levels before, with the lock, and after.
struct Levels {
  KIRQL before, returned, held, after;
};
Levels ordinary, queued;

VOID NTAPI lock_both(PKDPC, PVOID, PVOID, PVOID) {
  ordinary.before = KeGetCurrentIrql();
  ordinary.returned = KeAcquireSpinLockForDpc(&lock);
  ordinary.held = KeGetCurrentIrql();
  KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
  KeReleaseSpinLockForDpc(&lock, ordinary.returned);
  ordinary.after = KeGetCurrentIrql();

  KLOCK_QUEUE_HANDLE handle;
  queued.before = KeGetCurrentIrql();
  KeAcquireInStackQueuedSpinLockForDpc(&lock, &handle);
  queued.returned = handle.OldIrql;
  queued.held = KeGetCurrentIrql();
  KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
  KeReleaseInStackQueuedSpinLockForDpc(&handle);
  queued.after = KeGetCurrentIrql();
  KDPC_EXPECT_EQ(KeTestSpinLock(&lock), TRUE);
  note('d');
}

void run_dpc(kdpc::lab::Machine& m, bool threaded, PKDEFERRED_ROUTINE routine = lock_both) {
  static bool is_threaded;
  static PKDEFERRED_ROUTINE the_routine;
  is_threaded = threaded;
  the_routine = routine;
  reset();
  ordinary = queued = {77, 77, 77, 77};
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSpinLock(&lock);
    if (is_threaded) {
      KeInitializeThreadedDpc(&dpc, the_routine, nullptr);
    } else {
      KeInitializeDpc(&dpc, the_routine, nullptr);
    }
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
}

void expect_levels(const Levels& levels, KIRQL outside) {
  EXPECT_EQ(levels.before, outside);
  EXPECT_EQ(levels.returned, outside);
  EXPECT_EQ(levels.held, DISPATCH_LEVEL);
  EXPECT_EQ(levels.after, outside);
}

KDPC_TEST(LockForDpc, AThreadedDpcIsRaisedAndLoweredAgain) {
  RULE("THR-4");
  run_dpc(m, true);
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 100ms));
  expect_levels(ordinary, PASSIVE_LEVEL);
  expect_levels(queued, PASSIVE_LEVEL);
}

KDPC_TEST(LockForDpc, AnOrdinaryDpcStaysWhereItIs) {
  RULE("THR-4");
  run_dpc(m, false);
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 100ms));
  expect_levels(ordinary, DISPATCH_LEVEL);
  expect_levels(queued, DISPATCH_LEVEL);
}

KDPC_TEST(LockForDpc, AThreadedDpcThatIsAnOrdinaryOneStaysWhereItIs, .options = {{"threaded_dpc", "disabled"}}) {
  RULE("THR-4");
  RULE("THR-1");
  run_dpc(m, true);
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 100ms));
  expect_levels(ordinary, DISPATCH_LEVEL);
  expect_levels(queued, DISPATCH_LEVEL);
}

VOID NTAPI lock_raised(PKDPC, PVOID, PVOID, PVOID) {
  const KIRQL outside = KeRaiseIrqlToDpcLevel();
  const KIRQL old = KeAcquireSpinLockForDpc(&lock);
  KDPC_EXPECT_EQ(old, DISPATCH_LEVEL);
  KeReleaseSpinLockForDpc(&lock, old);
  KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
  KeLowerIrql(outside);
  note('d');
}
KDPC_TEST(LockForDpc, AThreadedDpcThatHasRaisedItselfStaysWhereItIs) {
  RULE("THR-4");
  run_dpc(m, true, lock_raised);
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 100ms));
}

KDPC_TEST(LockForDpc, AboveDispatchNothingIsRaised) {
  RULE("THR-4");
  m.on(0, 7, [] {
    KeInitializeSpinLock(&lock);
    const KIRQL old = KeAcquireSpinLockForDpc(&lock);
    KDPC_EXPECT_EQ(old, 7);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), 7);
    KeReleaseSpinLockForDpc(&lock, old);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), 7);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(LockForDpc, BothProcessorsCountWithoutLoss, .processors = 2) {
  RULE("THR-4");
  static KDPC dpcs[2];
  static volatile long counter;
  static volatile LONG ended;
  counter = 0;
  ended = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSpinLock(&lock);
    for (unsigned processor = 0; processor < 2; ++processor) {
      KeInitializeThreadedDpc(
          &dpcs[processor],
          [](PKDPC, PVOID, PVOID, PVOID) NTAPI {
            for (int turn = 0; turn < 100; ++turn) {
              const KIRQL old = KeAcquireSpinLockForDpc(&lock);
              const long read = counter;
              KeStallExecutionProcessor(1);
              counter = read + 1;
              KeReleaseSpinLockForDpc(&lock, old);
            }
            InterlockedIncrement(&ended);
          },
          nullptr);
      KeSetTargetProcessorDpc(&dpcs[processor], static_cast<CCHAR>(processor));
      KeInsertQueueDpc(&dpcs[processor], nullptr, nullptr);
    }
  });
  EXPECT_TRUE(m.run_until([] { return ended == 2; }, 1s));
  EXPECT_EQ(counter, 200);
}

// -- misuse -----------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(LockForDpcMisuse, InAThreadBelowDispatchIs40) {
  RULE("THR-4");
  m.on(0, PASSIVE_LEVEL, [] { KeAcquireSpinLockForDpc(&lock); });
  EXPECT_BUGCHECK(0xC4, 0x40, PASSIVE_LEVEL, &lock, 0);
}
KDPC_TEST(LockForDpcMisuse, TheQueuedFormInAThreadBelowDispatchIs40) {
  RULE("THR-4");
  m.on(0, APC_LEVEL, [] {
    KLOCK_QUEUE_HANDLE handle;
    KeAcquireInStackQueuedSpinLockForDpc(&lock, &handle);
  });
  EXPECT_BUGCHECK(0xC4, 0x40, APC_LEVEL, &lock, 0);
}
KDPC_TEST(LockForDpcMisuse, OnACheckedBuildThatIs9, .options = {{"irql_checks", "checked"}}) {
  RULE("THR-4");
  m.on(0, PASSIVE_LEVEL, [] { KeAcquireSpinLockForDpc(&lock); });
  EXPECT_BUGCHECK(0x9, PASSIVE_LEVEL, DISPATCH_LEVEL, &lock, 0);
}
KDPC_TEST(LockForDpcMisuse, OnAFreeBuildTheThreadHoldsTheLockWithoutBeingRaised, .options = {{"irql_checks", "free"}}) {
  RULE("THR-4");
  lock = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    const KIRQL old = KeAcquireSpinLockForDpc(&lock);
    KDPC_EXPECT_EQ(old, PASSIVE_LEVEL);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
    KeReleaseSpinLockForDpc(&lock, old);
  });
  EXPECT_NO_FINDINGS();
}

VOID NTAPI lower_before_release(PKDPC, PVOID, PVOID, PVOID) {
  const KIRQL old = KeAcquireSpinLockForDpc(&lock);
  KeLowerIrql(old);
  KeReleaseSpinLockForDpc(&lock, old);
}
KDPC_TEST(LockForDpcMisuse, ReleasingAfterLoweringIs41, .checks = {.off = {"lock-held-below-dispatch"}}) {
  RULE("THR-4");
  run_dpc(m, true, lower_before_release);
  m.run_for(10ms);
  EXPECT_BUGCHECK(0xC4, 0x41, PASSIVE_LEVEL, &lock, 0);
}

VOID NTAPI take_the_wrong_form(PKDPC, PVOID, PVOID, PVOID) { KeAcquireSpinLockAtDpcLevel(&lock); }
KDPC_TEST(LockForDpcMisuse, TheAtDpcLevelFormInAThreadedDpcIs40) {
  RULE("THR-4");
  run_dpc(m, true, take_the_wrong_form);
  m.run_for(10ms);
  EXPECT_BUGCHECK(0xC4, 0x40, PASSIVE_LEVEL, &lock, 0);
}

}  // namespace
