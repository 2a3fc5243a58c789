// Fast and guarded mutexes: IRQL-4, IRQL-7 and the Verifier's deadlock detection.
#include <wdm.h>

#include <chrono>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

FAST_MUTEX fast;
KGUARDED_MUTEX guarded;

void initialize(kdpc::lab::Machine& m) {
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeFastMutex(&fast);
    KeInitializeGuardedMutex(&guarded);
  });
}

KDPC_TEST(FastMutex, IsHeldAtApcLevelAndReleasingRestoresTheLevel) {
  RULE("IRQL-4");
  initialize(m);
  for (const unsigned level : {PASSIVE_LEVEL, APC_LEVEL})
    m.on(0, level, [level] {
      ExAcquireFastMutex(&fast);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), APC_LEVEL);
      KDPC_EXPECT_EQ(fast.Owner, KeGetCurrentThread());
      ExReleaseFastMutex(&fast);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT(fast.Owner == nullptr && fast.Count == 1);
      KDPC_EXPECT_EQ(ExTryToAcquireFastMutex(&fast), TRUE);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), APC_LEVEL);
      ExReleaseFastMutex(&fast);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
    });
}

KDPC_TEST(FastMutex, KeepsOthersOutAndPassesOnInTheOrderOfArrival, .processors = 2) {
  RULE("IRQL-4");
  initialize(m);
  for (const char letter : {'a', 'b', 'c'}) {
    m.start(0, PASSIVE_LEVEL, [letter] {
      ExAcquireFastMutex(&fast);
      note(letter);
      LARGE_INTEGER pause = in_ms(20);
      KeDelayExecutionThread(KernelMode, FALSE, &pause);
      note(static_cast<char>(letter - 'a' + 'A'));
      ExReleaseFastMutex(&fast);
    });
    m.run_for(1ms);
  }
  m.on(1, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(ExTryToAcquireFastMutex(&fast), FALSE);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 6; }, 1s));
  EXPECT_STREQ(order, "aAbBcC");
  EXPECT_EQ(fast.Contention, 2u);
}

KDPC_TEST(FastMutex, TheUnsafeFormLeavesTheLevelAlone) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&fast);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KDPC_EXPECT_EQ(fast.Owner, KeGetCurrentThread());
    ExReleaseFastMutexUnsafe(&fast);
    KeLeaveCriticalRegion();
  });
}

KDPC_TEST(FastMutex, AcquiredAboveApcLevelIs33) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] { ExAcquireFastMutex(&fast); });
  EXPECT_BUGCHECK(0xC4, 0x33, DISPATCH_LEVEL, &fast, 0);
}

KDPC_TEST(FastMutex, TriedAboveApcLevelIs33) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] { ExTryToAcquireFastMutex(&fast); });
  EXPECT_BUGCHECK(0xC4, 0x33, DISPATCH_LEVEL, &fast, 0);
}

KDPC_TEST(FastMutex, ReleasedAtAnotherLevelThanApcIs34) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    ExAcquireFastMutex(&fast);
    KeLowerIrql(PASSIVE_LEVEL);
    ExReleaseFastMutex(&fast);
  });
  EXPECT_BUGCHECK(0xC4, 0x34, PASSIVE_LEVEL, &fast, 0);
}

KDPC_TEST(FastMutex, AcquiredUnsafelyWithApcsEnabledIs39) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { ExAcquireFastMutexUnsafe(&fast); });
  EXPECT_BUGCHECK(0xC4, 0x39, PASSIVE_LEVEL, 0, &fast);
}

KDPC_TEST(FastMutex, ReleasedUnsafelyWithApcsEnabledIs3A) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&fast);
    KeLeaveCriticalRegion();
    ExReleaseFastMutexUnsafe(&fast);
  });
  EXPECT_BUGCHECK(0xC4, 0x3A, PASSIVE_LEVEL, 0, &fast);
}

KDPC_TEST(FastMutex, AcquiredTwiceByOneThreadIsADeadlock) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    ExAcquireFastMutex(&fast);
    ExAcquireFastMutex(&fast);
  });
  EXPECT_BUGCHECK(0xC4, 0x1000, &fast);
}

KDPC_TEST(FastMutex, AcquiredTwiceOnAFreeBuildWaitsForEver, .options = {{"irql_checks", "free"}}) {
  initialize(m);
  auto stuck = m.start(0, PASSIVE_LEVEL, [] {
    ExAcquireFastMutex(&fast);
    ExAcquireFastMutex(&fast);
  });
  m.run_until([&] { return stuck.done(); }, 1s);
  EXPECT_ENDED(Quiescent);
}

KDPC_TEST(FastMutex, ReleasedByAnotherThreadIsAFinding) {
  RULE("LCK-3");
  initialize(m);
  m.start(0, PASSIVE_LEVEL, [] {
    ExAcquireFastMutex(&fast);
    wait_for(&events[0]);
  });
  m.run_for(1ms);
  m.on(0, APC_LEVEL, [] { ExReleaseFastMutex(&fast); });
  EXPECT_BUGCHECK(0xC4, 0x1004, &fast, fast.Owner);
}

KDPC_TEST(FastMutex, ReleasedWithoutHavingBeenAcquiredIsAFinding) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, APC_LEVEL, [] { ExReleaseFastMutex(&fast); });
  EXPECT_BUGCHECK(0xC4, 0x1007, &fast, 0);
}

KDPC_TEST(GuardedMutex, IsHeldInAGuardedRegionAtTheCallersLevel) {
  RULE("CTX-2");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeAcquireGuardedMutex(&guarded);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), TRUE);
    KeReleaseGuardedMutex(&guarded);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), FALSE);
    KDPC_EXPECT_EQ(KeTryToAcquireGuardedMutex(&guarded), TRUE);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), TRUE);
    KeReleaseGuardedMutex(&guarded);
    KeEnterGuardedRegion();
    KeAcquireGuardedMutexUnsafe(&guarded);
    KeReleaseGuardedMutexUnsafe(&guarded);
    KeLeaveGuardedRegion();
  });
}

KDPC_TEST(GuardedMutex, KeepsOthersOut) {
  initialize(m);
  auto owner = m.start(0, PASSIVE_LEVEL, [] {
    KeAcquireGuardedMutex(&guarded);
    wait_for(&events[0]);
    note('1');
    KeReleaseGuardedMutex(&guarded);
  });
  m.run_for(1ms);
  auto next = m.start(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeTryToAcquireGuardedMutex(&guarded), FALSE);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), FALSE);
    KeAcquireGuardedMutex(&guarded);
    note('2');
    KeReleaseGuardedMutex(&guarded);
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return owner.done() && next.done(); }, 1s));
  EXPECT_STREQ(order, "12");
}

KDPC_TEST(GuardedMutex, AboveApcLevelIsAFinding) {
  RULE("IRQL-4");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] { KeAcquireGuardedMutex(&guarded); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL, &guarded);
}

}  // namespace
