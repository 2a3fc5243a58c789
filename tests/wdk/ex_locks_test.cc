// Push locks and run-down protection: what one processor can tell about them. The same program runs on every machine.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

// -- all of them, from a driver ---------------------------------------------------------------------------------------------------------------

KDPC_TEST(LocksOfADriver, AnswerAsTheyShould) {
  std::string why;
  EXPECT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/lock_user.drv", why)) << why;
  EXPECT_TRUE(m.unload_driver("lock_user", why)) << why;
  EXPECT_NO_FINDINGS();
}

// -- push locks -------------------------------------------------------------------------------------------------------------------------------

EX_PUSH_LOCK push;

void in_thread(kdpc::lab::Machine& m, void (*body)()) {
  reset();
  m.on(0, PASSIVE_LEVEL, [body] {
    ExInitializePushLock(&push);
    KeEnterCriticalRegion();
    body();
    KeLeaveCriticalRegion();
  });
}

KDPC_TEST(PushLock, IsFreeSharedOrExclusive) {
  RULE("K.PUSH-1");
  in_thread(m, [] {
    ExAcquirePushLockExclusive(&push);
    KDPC_EXPECT_EQ(ExTryAcquirePushLockExclusive(&push), FALSE);
    KDPC_EXPECT_EQ(ExTryAcquirePushLockShared(&push), FALSE);
    ExReleasePushLockExclusive(&push);
    ExAcquirePushLockShared(&push);
    KDPC_EXPECT_EQ(ExTryAcquirePushLockShared(&push), TRUE);
    KDPC_EXPECT_EQ(ExTryAcquirePushLockExclusive(&push), FALSE);
    ExReleasePushLockShared(&push);
    ExReleasePushLock(&push);
    KDPC_EXPECT_EQ(push, 0u);
    KDPC_EXPECT_EQ(ExTryAcquirePushLockExclusive(&push), TRUE);
    ExReleasePushLock(&push);
    KDPC_EXPECT_EQ(push, 0u);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(PushLock, ApcLevelIsAsGoodAsACriticalRegion) {
  m.on(0, APC_LEVEL, [] {
    ExInitializePushLock(&push);
    ExAcquirePushLockExclusive(&push);
    ExReleasePushLockExclusive(&push);
  });
  EXPECT_NO_FINDINGS();
}

struct Visitor {
  char letter;
  bool shared;
};
kdpc::lab::Task visit(kdpc::lab::Machine& m, Visitor visitor, KEVENT* leave) {
  auto task = m.start(0, PASSIVE_LEVEL, [visitor, leave] {
    KeEnterCriticalRegion();
    if (visitor.shared) {
      ExAcquirePushLockShared(&push);
    } else {
      ExAcquirePushLockExclusive(&push);
    }
    note(visitor.letter);
    if (leave != nullptr) wait_for(leave);
    note(static_cast<char>(visitor.letter - 'a' + 'A'));
    ExReleasePushLock(&push);
    KeLeaveCriticalRegion();
  });
  m.run_for(1ms);
  return task;
}

KDPC_TEST(PushLock, WhoMustWaitSleepsAndReadersThatStandTogetherGoInTogether) {
  RULE("K.PUSH-2");
  initialize_events(m, NotificationEvent);
  push = 0;
  const kdpc::lab::Task tasks[] = {visit(m, {'w', false}, &events[0]), visit(m, {'a', true}, &events[1]), visit(m, {'b', true}, &events[1]),
                                   visit(m, {'x', false}, nullptr), visit(m, {'c', true}, nullptr)};
  EXPECT_STREQ(order, "w");
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 0, FALSE); });
  m.run_for(1ms);
  EXPECT_STREQ(order, "wWab");
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[1], 0, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return std::all_of(std::begin(tasks), std::end(tasks), [](const auto& task) { return task.done(); }); }, 1s));
  EXPECT_STREQ(order, "wWabABxXcC");
  EXPECT_EQ(push, 0u);
}

KDPC_TEST(PushLock, AReaderWaitsAsSoonAsAWriterDoes) {
  RULE("K.PUSH-1");
  initialize_events(m, NotificationEvent);
  push = 0;
  const kdpc::lab::Task tasks[] = {visit(m, {'a', true}, &events[0]), visit(m, {'w', false}, nullptr), visit(m, {'b', true}, nullptr)};
  EXPECT_STREQ(order, "a");
  m.on(0, PASSIVE_LEVEL, [] {
    KeEnterCriticalRegion();
    KDPC_EXPECT_EQ(ExTryAcquirePushLockShared(&push), FALSE);
    KeLeaveCriticalRegion();
    KeSetEvent(&events[0], 0, FALSE);
  });
  EXPECT_TRUE(m.run_until([&] { return tasks[0].done() && tasks[1].done() && tasks[2].done(); }, 1s));
  EXPECT_STREQ(order, "aAwWbB");
}

KDPC_TEST(PushLockMisuse, AcquiringWithApcsEnabledIsEA) {
  RULE("LCK-3");
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializePushLock(&push);
    ExAcquirePushLockShared(&push);
  });
  EXPECT_BUGCHECK(0xC4, 0xEA, PASSIVE_LEVEL, 0, &push);
}
KDPC_TEST(PushLockMisuse, ReleasingWithApcsEnabledIsEB) {
  RULE("LCK-3");
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializePushLock(&push);
    KeEnterCriticalRegion();
    ExAcquirePushLockShared(&push);
    KeLeaveCriticalRegion();
    ExReleasePushLockShared(&push);
  });
  EXPECT_BUGCHECK(0xC4, 0xEB, PASSIVE_LEVEL, 0, &push);
}
KDPC_TEST(PushLockMisuse, AcquiringAtDispatchIsRefused) {
  m.on(0, DISPATCH_LEVEL, [] { ExAcquirePushLockShared(&push); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}
KDPC_TEST(PushLockMisuse, TheWriterComesAgain) {
  RULE("LCK-3");
  in_thread(m, [] {
    ExAcquirePushLockExclusive(&push);
    ExAcquirePushLockShared(&push);
  });
  EXPECT_BUGCHECK(0xC4, 0x1000, &push, 0, 0);
}
KDPC_TEST(PushLockMisuse, OnAFreeBuildTheWriterWhoComesAgainSleepsForEver, .options = {{"irql_checks", "free"}}) {
  push = 0;
  auto task = m.start(0, APC_LEVEL, [] {
    ExAcquirePushLockExclusive(&push);
    ExAcquirePushLockExclusive(&push);
  });
  EXPECT_FALSE(m.run_until([&] { return task.done(); }, 1s));
  EXPECT_ENDED(Quiescent);
}
KDPC_TEST(PushLockMisuse, ReleasingWhatNobodyHoldsIs1007) {
  RULE("LCK-3");
  in_thread(m, [] { ExReleasePushLockExclusive(&push); });
  EXPECT_BUGCHECK(0xC4, 0x1007, &push, 0, 0);
}
KDPC_TEST(PushLockMisuse, ReleasingInTheOtherWayIs1009) {
  RULE("LCK-3");
  in_thread(m, [] {
    ExAcquirePushLockShared(&push);
    ExReleasePushLockExclusive(&push);
  });
  EXPECT_BUGCHECK(0xC4, 0x1009, &push, 0, 0);
}
KDPC_TEST(PushLockMisuse, ReleasingAnotherThreadsLockIs1004) {
  RULE("LCK-3");
  initialize_events(m);
  push = 0;
  visit(m, {'a', false}, &events[0]);
  m.on(0, APC_LEVEL, [] { ExReleasePushLockExclusive(&push); });
  EXPECT_BUGCHECK(0xC4, 0x1004, &push, any, any);
}
KDPC_TEST(PushLockMisuse, AnUninitialisedOneIsFound) {
  RULE("LCK-3");
  m.on(0, APC_LEVEL, [] {
    std::memset(&push, 0xCC, sizeof push);
    ExAcquirePushLockShared(&push);
  });
  EXPECT_BUGCHECK(0xC4, 0x1002, &push, 0, 0);
}

// -- run-down protection ----------------------------------------------------------------------------------------------------------------------

EX_RUNDOWN_REF rundown;

KDPC_TEST(Rundown, ReferencesAreGivenUntilTheRundownBegins) {
  RULE("K.RUN-1");
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeRundownProtection(&rundown);
    KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), TRUE);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionEx(&rundown, 3), TRUE);
    ExReleaseRundownProtectionEx(&rundown, 2);
    ExReleaseRundownProtection(&rundown);
    ExReleaseRundownProtection(&rundown);
    ExWaitForRundownProtectionRelease(&rundown);  // nobody has one: at once
    KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), FALSE);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionEx(&rundown, 2), FALSE);
    ExWaitForRundownProtectionRelease(&rundown);  // already run down: no effect
    ExRundownCompleted(&rundown);
    KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), FALSE);
    ExReInitializeRundownProtection(&rundown);
    KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), TRUE);
    ExReleaseRundownProtection(&rundown);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Rundown, AcquireAndReleaseWorkAtDispatch) {
  m.on(0, DISPATCH_LEVEL, [] {
    ExInitializeRundownProtection(&rundown);
    KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), TRUE);
    ExReleaseRundownProtection(&rundown);
  });
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Rundown, TheOwnerWaitsForTheLastReference) {
  RULE("K.RUN-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeRundownProtection(&rundown);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionEx(&rundown, 2), TRUE);
  });
  auto owner = m.start(0, PASSIVE_LEVEL, [] {
    note('w');
    ExWaitForRundownProtectionRelease(&rundown);
    note('W');
  });
  auto another = m.start(0, PASSIVE_LEVEL, [] {
    ExWaitForRundownProtectionRelease(&rundown);
    note('X');
  });
  m.run_for(1ms);
  EXPECT_STREQ(order, "w");
  m.on(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), FALSE);
    ExReleaseRundownProtection(&rundown);
  });
  m.run_for(1ms);
  EXPECT_STREQ(order, "w");
  m.on(0, DISPATCH_LEVEL, [] { ExReleaseRundownProtection(&rundown); });
  EXPECT_TRUE(m.run_until([&] { return owner.done() && another.done(); }, 1s));
  EXPECT_STREQ(order, "wWX");
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(ExAcquireRundownProtection(&rundown), FALSE); });
}

KDPC_TEST(RundownMisuse, ReleasingMoreThanThereAreIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeRundownProtection(&rundown);
    ExAcquireRundownProtection(&rundown);
    ExReleaseRundownProtectionEx(&rundown, 2);
  });
  EXPECT_BUGCHECK(0x18, 0, &rundown);
}
KDPC_TEST(RundownMisuse, ReleasingAfterTheRundownIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeRundownProtection(&rundown);
    ExWaitForRundownProtectionRelease(&rundown);
    ExReleaseRundownProtection(&rundown);
  });
  EXPECT_BUGCHECK(0x18, 0, &rundown);
}
KDPC_TEST(RundownMisuse, InitialisingAgainWithoutARundownIs1005) {
  m.on(0, PASSIVE_LEVEL, [] {
    ExInitializeRundownProtection(&rundown);
    ExReInitializeRundownProtection(&rundown);
  });
  EXPECT_BUGCHECK(0xC4, 0x1005, &rundown, 0, 0);
}

KDPC_TEST(Rundown, TheCacheAwareFormDoesTheSame) {
  m.on(0, PASSIVE_LEVEL, [] {
    PEX_RUNDOWN_REF_CACHE_AWARE one = ExAllocateCacheAwareRundownProtection(NonPagedPool, 0x6e75526b);
    KDPC_EXPECT(one != nullptr);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionCacheAware(one), TRUE);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionCacheAwareEx(one, 2), TRUE);
    ExReleaseRundownProtectionCacheAwareEx(one, 2);
    ExReleaseRundownProtectionCacheAware(one);
    ExWaitForRundownProtectionReleaseCacheAware(one);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionCacheAware(one), FALSE);
    ExRundownCompletedCacheAware(one);
    ExReInitializeRundownProtectionCacheAware(one);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionCacheAware(one), TRUE);
    ExReleaseRundownProtectionCacheAware(one);
    ExFreeCacheAwareRundownProtection(one);
    const SIZE_T size = ExSizeOfRundownProtectionCacheAware();
    auto own = static_cast<PEX_RUNDOWN_REF_CACHE_AWARE>(ExAllocatePool2(POOL_FLAG_NON_PAGED, size, 0x6e75526b));
    ExInitializeRundownProtectionCacheAware(own, size);
    KDPC_EXPECT_EQ(ExAcquireRundownProtectionCacheAware(own), TRUE);
    ExReleaseRundownProtectionCacheAware(own);
    ExFreePool(own);
  });
  EXPECT_NO_FINDINGS();
}

}  // namespace
