// Rules of Windows' behaviour that only a check can see, each by itself.
#include <gmock/gmock.h>
#include <wdm.h>

#include "kdpc/test.h"
#include "machine/host.h"

namespace {

using namespace std::chrono_literals;
using kdpc::lab::Finding;

KSPIN_LOCK lock, other;
KTIMER timer;
KDPC dpc;
KIRQL old_irql;

VOID NTAPI nothing(PKDPC, PVOID, PVOID, PVOID) {}
VOID NTAPI takes_the_lock(PKDPC, PVOID, PVOID, PVOID) {
  KeAcquireSpinLockAtDpcLevel(&lock);
  KeReleaseSpinLockFromDpcLevel(&lock);
}

void initialize() {
  KeInitializeSpinLock(&lock);
  KeInitializeSpinLock(&other);
  KeInitializeTimer(&timer);
  KeInitializeDpc(&dpc, nothing, nullptr);
}

KDPC_TEST(LockRules, FormsAreNotMixed) {
  RULE("LCK-1");
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    KeAcquireSpinLock(&lock, &old_irql);
    KeReleaseSpinLockFromDpcLevel(&lock);
  });
  EXPECT_FINDING("lock-wrong-variant");
}

// Nobody else is there, and nobody ever waits: the level alone shows that the DPC would wait for the thread under it.
KDPC_TEST(LockRules, WhatADpcTakesIsNotHeldBelowDispatch, .options = {{"irql_checks", "free"}}) {
  RULE("LCK-1");
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    KeInitializeDpc(&dpc, takes_the_lock, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeReleaseSpinLockFromDpcLevel(&lock);
  });
  EXPECT_FINDING("lock-below-interrupt");
}

KDPC_TEST(LockRules, TheLevelStaysUpWhileALockIsHeld) {
  RULE("LCK-8");
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    KeAcquireSpinLock(&lock, &old_irql);
    KeLowerIrql(APC_LEVEL);
  });
  EXPECT_FINDING("lock-held-below-dispatch");
}

KDPC_TEST(LockRules, AHoldOverTheGuidelineIsAdvice) {
  RULE("LCK-6");
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    KeAcquireSpinLock(&lock, &old_irql);
    KeStallExecutionProcessor(26);
    KeReleaseSpinLock(&lock, old_irql);
  });
  EXPECT_FINDING("lock-budget");
  EXPECT_FALSE(m.outcome().over());
}

// A lock that is tried for cannot close a circle: whoever does not get it goes on.
KDPC_TEST(LockRules, TryingIsNotWaiting) {
  m.on(0, DISPATCH_LEVEL, [] {
    initialize();
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeAcquireSpinLockAtDpcLevel(&other);
    KeReleaseSpinLockFromDpcLevel(&other);
    KeReleaseSpinLockFromDpcLevel(&lock);
    KeAcquireSpinLockAtDpcLevel(&other);
    KDPC_EXPECT(KeTryToAcquireSpinLockAtDpcLevel(&lock));
    KeReleaseSpinLockFromDpcLevel(&lock);
    KeReleaseSpinLockFromDpcLevel(&other);
  });
  EXPECT_NO_FINDINGS();
}

// Two locks let go in the order in which they were taken, each with the right IRQL, is unusual and right.
KDPC_TEST(LockRules, HandOverHandIsRight) {
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    KIRQL inner;
    KeAcquireSpinLock(&lock, &old_irql);
    KeAcquireSpinLock(&other, &inner);
    KeReleaseSpinLock(&lock, inner);
    KeReleaseSpinLock(&other, old_irql);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(DpcRules, ATimersKdpcIsNotQueuedByItself) {
  RULE("TIM-16");
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    LARGE_INTEGER due;
    due.QuadPart = -10'000'000;
    KeSetTimer(&timer, due, &dpc);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_FINDING("dpc-shared-with-timer");
}

// What a check remembers goes back with the machine: the order that was learnt after the checkpoint is not known before it.
KDPC_TEST(Checks, WhatTheyRememberGoesBackToTheCheckpoint) {
  m.on(0, PASSIVE_LEVEL, [] { initialize(); });
  auto before = kdpc::host::checkpoint();
  ASSERT_TRUE(before) << before.error().what;
  const auto take = [&m](PKSPIN_LOCK one, PKSPIN_LOCK two) {
    return m.on(0, DISPATCH_LEVEL, [one, two] {
      KeAcquireSpinLockAtDpcLevel(one);
      KeAcquireSpinLockAtDpcLevel(two);
      KeReleaseSpinLockFromDpcLevel(two);
      KeReleaseSpinLockFromDpcLevel(one);
    });
  };
  EXPECT_TRUE(take(&lock, &other));
  kdpc::host::restore(**before);
  EXPECT_TRUE(take(&other, &lock));
  EXPECT_TRUE(m.findings().empty());
  kdpc::host::restore(**before);
  EXPECT_TRUE(take(&lock, &other));
  take(&other, &lock);
  EXPECT_FINDING("lock-order");
  kdpc::host::discard(*before);
}

}  // namespace
