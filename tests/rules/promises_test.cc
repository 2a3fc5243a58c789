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

// The three guidelines that are numbers; each at its limit, and a microsecond beyond. What the calls cost themselves is less than that.
VOID NTAPI stall_for(PKDPC, PVOID Context, PVOID, PVOID) { KeStallExecutionProcessor(static_cast<ULONG>(reinterpret_cast<ULONG_PTR>(Context))); }
ULONG isr_microseconds;
BOOLEAN NTAPI stall_in_isr(PKINTERRUPT, PVOID) {
  KeStallExecutionProcessor(isr_microseconds);
  return TRUE;
}

KDPC_TEST(Guidelines, ADpcHasAHundredMicroseconds) {
  RULE("9.1");
  const auto run_for_us = [&m](ULONG_PTR microseconds) {
    m.on(0, PASSIVE_LEVEL, [microseconds] {
      KeInitializeDpc(&dpc, stall_for, reinterpret_cast<PVOID>(microseconds));
      KeInsertQueueDpc(&dpc, nullptr, nullptr);
    });
  };
  run_for_us(99);
  EXPECT_TRUE(m.findings().empty());
  run_for_us(101);
  EXPECT_FINDING("dpc-budget");
}

KDPC_TEST(Guidelines, AnIsrHasTwentyFiveMicroseconds) {
  RULE("9.1");
  m.on(0, PASSIVE_LEVEL, [] {
    static PKINTERRUPT interrupt;
    KDPC_EXPECT_EQ(IoConnectInterrupt(&interrupt, stall_in_isr, nullptr, nullptr, 0x51, 5, 5, Latched, FALSE, 1, FALSE), STATUS_SUCCESS);
  });
  for (const ULONG microseconds : {24u, 26u}) {
    EXPECT_TRUE(m.findings().empty());
    isr_microseconds = microseconds;
    m.send_message(0x51);
    m.run_for(1ms);
  }
  EXPECT_FINDING("isr-budget");
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

// What was learnt of a lock is not known of another one that lies in its place.
void take_in_turn(PKSPIN_LOCK one, PKSPIN_LOCK two) {
  KeAcquireSpinLockAtDpcLevel(one);
  KeAcquireSpinLockAtDpcLevel(two);
  KeReleaseSpinLockFromDpcLevel(two);
  KeReleaseSpinLockFromDpcLevel(one);
}

KDPC_TEST(LockRules, ALockThatIsInitializedAgainHasNoOrderYet) {
  m.on(0, DISPATCH_LEVEL, [] {
    initialize();
    take_in_turn(&lock, &other);
    KeInitializeSpinLock(&other);
    take_in_turn(&other, &lock);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(LockRules, ALockWhereAFreedOneLayHasNoOrderYet) {
  m.on(0, DISPATCH_LEVEL, [] {
    constexpr SIZE_T kSize = 3000;
    const auto allocate = [] {
      auto* const in_pool = static_cast<PKSPIN_LOCK>(ExAllocatePool2(POOL_FLAG_NON_PAGED, kSize, 'skcL'));
      KeInitializeSpinLock(in_pool);
      return in_pool;
    };
    initialize();
    const PKSPIN_LOCK first = allocate();
    take_in_turn(&lock, first);
    ExFreePool(first);
    const PKSPIN_LOCK second = allocate();
    KDPC_EXPECT_EQ(second, first);
    take_in_turn(second, &lock);
    ExFreePool(second);
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

// It was queued by a call once; what is queued when the timer is set again was queued by the timer.
KDPC_TEST(DpcRules, AKdpcMayBeATimersAfterItWasQueuedByItself) {
  RULE("TIM-16");
  m.on(0, PASSIVE_LEVEL, [] {
    initialize();
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  const auto set_twice = [&m](bool by_call) {
    m.on(0, DISPATCH_LEVEL, [by_call] {
      LARGE_INTEGER past, due;
      past.QuadPart = 1;
      due.QuadPart = -10'000;
      if (by_call) KDPC_EXPECT(KeInsertQueueDpc(&dpc, nullptr, nullptr));
      if (!by_call) KeSetTimer(&timer, past, &dpc);
      KeSetTimer(&timer, due, &dpc);
      KeCancelTimer(&timer);
    });
  };
  set_twice(false);
  EXPECT_TRUE(m.findings().empty());
  EXPECT_EQ(m.count("dpc-queued", {{"dpc", m.address_of(&dpc)}}), 2u) << "the second time by the timer";
  set_twice(true);
  EXPECT_FINDING("dpc-shared-with-timer");
}

// What a check remembers goes back with the machine: the order that was learnt after the checkpoint is not known before it.
KDPC_TEST(Checks, WhatTheyRememberGoesBackToTheCheckpoint) {
  m.on(0, PASSIVE_LEVEL, [] { initialize(); });
  auto before = kdpc::host::checkpoint();
  ASSERT_TRUE(before) << before.error().what;
  const auto take = [&m](PKSPIN_LOCK one, PKSPIN_LOCK two) { return m.on(0, DISPATCH_LEVEL, [one, two] { take_in_turn(one, two); }); };
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

// A call that was made since has its own variables where the event lay.
KEVENT* left_behind;
__attribute__((noinline)) void waits_in_vain() {
  KEVENT answered;
  LARGE_INTEGER at_once = {.QuadPart = 0};
  KeInitializeEvent(&answered, NotificationEvent, FALSE);
  left_behind = &answered;
  KeWaitForSingleObject(&answered, Executive, KernelMode, FALSE, &at_once);
}
__attribute__((noinline)) void signals_what_lies_below() {
  volatile char its_own[4096];
  its_own[0] = 0;
  KeSetEvent(left_behind, IO_NO_INCREMENT, FALSE);
  its_own[4095] = 0;
}

KDPC_TEST(Lifetimes, WhatLayInAFunctionThatHasReturnedStaysGoneWhateverLiesThereNow) {
  RULE("INI-3");
  m.on(0, PASSIVE_LEVEL, [] {
    waits_in_vain();
    KeStallExecutionProcessor(1);
    signals_what_lies_below();
  });
  EXPECT_FINDING("object-on-dead-stack");
}

}  // namespace
