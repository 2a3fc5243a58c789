// Spin locks and interlocked lists: SEMANTICS 8.3.
#include <wdm.h>

#include <cstring>
#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

KSPIN_LOCK lock, inner;
KIRQL saved;
volatile int steps = 0;
char order[16];
void note(char step) {
  order[steps % 15] = step;
  steps = steps + 1;
}

void initialize(kdpc::lab::Machine& m) {
  std::memset(order, 0, sizeof order);
  steps = 0;
  m.on(0, HIGH_LEVEL, [] {
    lock = inner = ~KSPIN_LOCK{0};
    KeInitializeSpinLock(&lock);
    KeInitializeSpinLock(&inner);
  });
}

// -- LCK-1 ----------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(SpinLock, RaisesToDispatchAndRestores) {
  RULE("LCK-1");
  initialize(m);
  for (const unsigned level : {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL}) {
    m.on(0, level, [level] {
      KIRQL old = HIGH_LEVEL;
      KeAcquireSpinLock(&lock, &old);
      KDPC_EXPECT_EQ(old, level);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
      KeReleaseSpinLock(&lock, old);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), TRUE);
    });
  }
}

KDPC_TEST(SpinLock, AtDpcLevelLeavesTheLevelAlone) {
  RULE("LCK-1");
  initialize(m);
  for (const unsigned level : {unsigned{DISPATCH_LEVEL}, 5u, unsigned{HIGH_LEVEL}}) {
    m.on(0, level, [level] {
      KeAcquireSpinLockAtDpcLevel(&lock);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
      KeReleaseSpinLockFromDpcLevel(&lock);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
    });
  }
}

KDPC_TEST(SpinLock, StoresTheOldLevelOnlyWhenTheLockIsOwned, .processors = 2, .simulated_only = "asks for a state that lasts for a millisecond") {
  RULE("LCK-1");
  initialize(m);
  auto holder = m.start(0, APC_LEVEL, [] {
    KeAcquireSpinLock(&lock, &saved);
    note('a');
    KeStallExecutionProcessor(1000);
    KDPC_EXPECT_EQ(saved, APC_LEVEL);  // the other processor spins by now, and has not written here
    note('r');
    KeReleaseSpinLock(&lock, saved);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 1ms));
  auto spinner = m.start(1, PASSIVE_LEVEL, [] {
    KeAcquireSpinLock(&lock, &saved);
    note('b');
    KDPC_EXPECT_EQ(saved, PASSIVE_LEVEL);
    KeReleaseSpinLock(&lock, saved);
  });
  EXPECT_TRUE(m.run_until([&] { return holder.done() && spinner.done(); }, within(1s)));
  EXPECT_STREQ(order, "arb");
  const auto acquired = m.events("lock-acquired", {{"lock", m.address_of(&lock)}});
  ASSERT_EQ(acquired.size(), 2u);
  EXPECT_EQ(acquired[0]["waited"], 0u);
  EXPECT_EQ(acquired[1]["waited"], 1u);
}

KDPC_TEST(SpinLock, ExcludesTheOtherProcessors, .processors = 4) {
  RULE("LCK-1");
  static volatile long counter, inside;
  counter = 0;
  inside = 0;
  initialize(m);
  kdpc::lab::Task tasks[4];
  for (unsigned processor = 0; processor < 4; ++processor)
    tasks[processor] = m.start(processor, PASSIVE_LEVEL, [] {
      for (int turn = 0; turn < 200; ++turn) {
        KIRQL old;
        KeAcquireSpinLock(&lock, &old);
        KDPC_EXPECT_EQ(inside, 0);
        inside = 1;
        const long read = counter;
        KeStallExecutionProcessor(1);
        counter = read + 1;
        inside = 0;
        KeReleaseSpinLock(&lock, old);
      }
    });
  EXPECT_TRUE(m.run_until([&] { return tasks[0].done() && tasks[1].done() && tasks[2].done() && tasks[3].done(); }, within(1s)));
  EXPECT_EQ(counter, 800);
}

// What each form answers to a wrong level.
struct WrongLevel {
  unsigned level;
  void (*act)();
  std::uint64_t subcode;
};
void acquire() { KeAcquireSpinLock(&lock, &saved); }
void release() { KeReleaseSpinLock(&lock, PASSIVE_LEVEL); }
void acquire_at_dpc_level() { KeAcquireSpinLockAtDpcLevel(&lock); }
void release_from_dpc_level() { KeReleaseSpinLockFromDpcLevel(&lock); }
void expect_refusal(kdpc::lab::Machine& m, const WrongLevel& wrong) {
  initialize(m);
  m.on(0, wrong.level, wrong.act);
  EXPECT_BUGCHECK(0xC4, wrong.subcode, wrong.level, &lock, 0);
}

KDPC_TEST(SpinLock, AcquiredAboveDispatchIs42) {
  RULE("LCK-1");
  expect_refusal(m, {5, acquire, 0x42});
}
KDPC_TEST(SpinLock, ReleasedAboveDispatchIs32) {
  RULE("LCK-1");
  expect_refusal(m, {5, release, 0x32});
}
KDPC_TEST(SpinLock, ReleasedBelowDispatchIs32) {
  RULE("LCK-1");
  expect_refusal(m, {APC_LEVEL, release, 0x32});
}
KDPC_TEST(SpinLock, AcquiredAtDpcLevelBelowDispatchIs40) {
  RULE("LCK-1");
  expect_refusal(m, {APC_LEVEL, acquire_at_dpc_level, 0x40});
}
KDPC_TEST(SpinLock, ReleasedFromDpcLevelBelowDispatchIs41) {
  RULE("LCK-1");
  expect_refusal(m, {PASSIVE_LEVEL, release_from_dpc_level, 0x41});
}

// -- LCK-3, LCK-7, LCK-8: ownership ---------------------------------------------------------------------------------------------------------

KDPC_TEST(SpinLockOwner, AcquiringItsOwnLockIsABugCheck) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    KeAcquireSpinLockAtDpcLevel(&lock);
  });
  EXPECT_BUGCHECK(0x0F, &lock, 0, 0, DISPATCH_LEVEL);
}

KDPC_TEST(SpinLockOwner, AcquiringItsOwnLockOnAFreeBuildHangsAndTheHangIsReported, .options = {{"irql_checks", "free"}},
          .simulated_only = "asks for a deadlock to be explained") {
  RULE("LCK-3");
  initialize(m);
  m.start(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    KeAcquireSpinLockAtDpcLevel(&lock);
  });
  m.run_for(1s);
  EXPECT_ENDED(Deadlock);
}

KDPC_TEST(SpinLockOwner, ReleasingAFreeLockIsABugCheck) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] { KeReleaseSpinLockFromDpcLevel(&lock); });
  EXPECT_BUGCHECK(0x10, &lock, 0, -1, DISPATCH_LEVEL);
}

KDPC_TEST(SpinLockOwner, ReleasingTheLockOfAnotherProcessorIsABugCheck, .processors = 2) {
  RULE("LCK-3");
  initialize(m);
  m.start(1, DISPATCH_LEVEL, [] {
    KeAcquireSpinLockAtDpcLevel(&lock);
    note('a');
    for (;;) KeStallExecutionProcessor(1000);  // until the run ends
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1ms)));
  m.on(0, DISPATCH_LEVEL, [] { KeReleaseSpinLockFromDpcLevel(&lock); });
  EXPECT_BUGCHECK(0x10, &lock, 0, 1, DISPATCH_LEVEL);
}

KDPC_TEST(SpinLockOwner, TwoLocksTakenInOppositeOrdersAreReportedAsADeadlock, .processors = 2,
          .simulated_only = "asks for a deadlock to be explained") {
  RULE("LCK-3");
  initialize(m);
  m.start(0, DISPATCH_LEVEL, [] {
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeStallExecutionProcessor(100);
    KeAcquireSpinLockAtDpcLevel(&inner);
  });
  m.start(1, DISPATCH_LEVEL, [] {
    KeAcquireSpinLockAtDpcLevel(&inner);
    KeStallExecutionProcessor(100);
    KeAcquireSpinLockAtDpcLevel(&lock);
  });
  m.run_for(1s);
  EXPECT_ENDED(Deadlock);
  EXPECT_NE(m.outcome().report().find("deadlock"), std::string::npos);
}

KDPC_TEST(SpinLock, IsRealEvenWithOneProcessor) {
  RULE("LCK-7");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireSpinLockAtDpcLevel(&lock);
    KDPC_EXPECT(lock != 0);
    KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
    KDPC_EXPECT_EQ(KeTryToAcquireSpinLockAtDpcLevel(&lock), FALSE);
    KeReleaseSpinLockFromDpcLevel(&lock);
    KDPC_EXPECT_EQ(lock, 0u);
  });
}

void lower_with_the_lock_held(kdpc::lab::Machine& m) {
  initialize(m);
  m.start(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeLowerIrql(old);  // the bug
    LARGE_INTEGER long_time = in_ms(10'000);
    KeDelayExecutionThread(KernelMode, FALSE, &long_time);
  });
  let_rest(m);
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(SpinLock, StillHeldWhenTheLevelFallsIsFoundAtTheNextAcquisition, .checks = {.off = {"lock-held-below-dispatch"}}) {
  RULE("LCK-8");
  lower_with_the_lock_held(m);
  m.on(0, PASSIVE_LEVEL, [] { KeAcquireSpinLock(&lock, &saved); });
  EXPECT_BUGCHECK(0x0F, &lock, 0, 0, DISPATCH_LEVEL);
}

KDPC_TEST(SpinLock, StillHeldWhenTheLevelFallsIsFoundAtAReleaseInAnotherThread, .checks = {.off = {"lock-held-below-dispatch"}}) {
  RULE("LCK-3");
  lower_with_the_lock_held(m);
  m.on(0, DISPATCH_LEVEL, [] { KeReleaseSpinLockFromDpcLevel(&lock); });
  EXPECT_BUGCHECK(0xC4, 0x1004, &lock, any, any);
}

KDPC_TEST(SpinLock, StillHeldWhenItsThreadEndsIsFound, .checks = {.off = {"lock-held-below-dispatch"}}) {
  RULE("LCK-3");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeRaiseIrqlToDpcLevel();
    KeAcquireSpinLockAtDpcLevel(&lock);
    KeLowerIrql(PASSIVE_LEVEL);
  });
  run_to_its_end(m, 1ms);
  EXPECT_BUGCHECK(0xC4, 0x100A, any, &lock, 0);
}

KDPC_TEST(SpinLock, InPoolThatIsFreedWhileItIsHeldIsFound) {
  RULE("LCK-3");
  static PKSPIN_LOCK in_pool;
  m.on(0, PASSIVE_LEVEL, [] {
    in_pool = static_cast<PKSPIN_LOCK>(ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 0x6b636f4c));
    KeInitializeSpinLock(in_pool);
    KeAcquireSpinLock(in_pool, &saved);
    ExFreePool(in_pool);
  });
  EXPECT_BUGCHECK(0xC4, 0x100B, in_pool, any, 0);
}

KDPC_TEST(SpinLock, InPoolThatIsFreedAfterItsReleaseIsNobodysConcern) {
  m.on(0, PASSIVE_LEVEL, [] {
    const auto in_pool = static_cast<PKSPIN_LOCK>(ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 0x6b636f4c));
    KeInitializeSpinLock(in_pool);
    KeAcquireSpinLock(in_pool, &saved);
    KeReleaseSpinLock(in_pool, saved);
    ExFreePool(in_pool);
  });
  EXPECT_NO_FINDINGS();
}

// -- LCK-4 ----------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(SpinLockTry, TellsWhetherItGotTheLock, .processors = 2) {
  RULE("LCK-4");
  initialize(m);
  static volatile bool held;
  held = true;
  auto holder = m.start(1, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(KeTryToAcquireSpinLockAtDpcLevel(&lock), TRUE);
    note('a');
    while (held) KeStallExecutionProcessor(50);
    KeReleaseSpinLockFromDpcLevel(&lock);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1ms)));
  m.on(0, DISPATCH_LEVEL, [] { KDPC_EXPECT_EQ(KeTryToAcquireSpinLockAtDpcLevel(&lock), FALSE); });
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE); });
  held = false;
  EXPECT_TRUE(m.run_until([&] { return holder.done(); }, within(1s)));
  m.on(0, HIGH_LEVEL, [] { KDPC_EXPECT_EQ(KeTestSpinLock(&lock), TRUE); });
}

KDPC_TEST(SpinLockTry, BelowDispatchIs40) {
  RULE("LCK-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { KeTryToAcquireSpinLockAtDpcLevel(&lock); });
  EXPECT_BUGCHECK(0xC4, 0x40, PASSIVE_LEVEL, &lock, 0);
}

// -- LCK-5: lists with a lock of their own --------------------------------------------------------------------------------------------------

KDPC_TEST(InterlockedList, ReturnsTheFormerNeighbourAtEveryLevel) {
  RULE("LCK-5");
  initialize(m);
  for (unsigned level = PASSIVE_LEVEL; level <= HIGH_LEVEL; ++level) {
    m.on(0, level, [level] {
      LIST_ENTRY head, a, b, c;
      InitializeListHead(&head);
      KDPC_EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), nullptr);
      KDPC_EXPECT_EQ(ExInterlockedInsertHeadList(&head, &b, &lock), nullptr);
      KDPC_EXPECT_EQ(ExInterlockedInsertHeadList(&head, &a, &lock), &b);
      KDPC_EXPECT_EQ(ExInterlockedInsertTailList(&head, &c, &lock), &b);
      KDPC_EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), &a);
      KDPC_EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), &b);
      KDPC_EXPECT_EQ(ExInterlockedRemoveHeadList(&head, &lock), &c);
      KDPC_EXPECT_EQ(ExInterlockedInsertTailList(&head, &c, &lock), nullptr);
      SINGLE_LIST_ENTRY top{}, first, second;
      KDPC_EXPECT_EQ(ExInterlockedPopEntryList(&top, &lock), nullptr);
      KDPC_EXPECT_EQ(ExInterlockedPushEntryList(&top, &first, &lock), nullptr);
      KDPC_EXPECT_EQ(ExInterlockedPushEntryList(&top, &second, &lock), &first);
      KDPC_EXPECT_EQ(ExInterlockedPopEntryList(&top, &lock), &second);
      KDPC_EXPECT_EQ(ExInterlockedPopEntryList(&top, &lock), &first);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), TRUE);
    });
  }
}

KDPC_TEST(InterlockedList, HoldsItsLockWithAllInterruptsBlocked) {
  RULE("LCK-5");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    LIST_ENTRY head, entry;
    InitializeListHead(&head);
    ExInterlockedInsertTailList(&head, &entry, &lock);
  });
  const auto acquired = m.events("lock-acquired", {{"lock", m.address_of(&lock)}});
  ASSERT_EQ(acquired.size(), 1u);
  EXPECT_EQ(acquired[0].irql, unsigned{HIGH_LEVEL});
}

// -- LCK-6: how long a lock is held ---------------------------------------------------------------------------------------------------------

// Microsoft's advice is to hold a spin lock for less than 25 µs. It is advice: nothing stops a driver. The trace has the times.
constexpr std::uint64_t kAdvisedNanoseconds = 25'000;

std::vector<std::uint64_t> hold_times(kdpc::lab::Machine& m, const KSPIN_LOCK& which) {
  const auto acquired = m.events("lock-acquired", {{"lock", m.address_of(&which)}});
  const auto released = m.events("lock-released", {{"lock", m.address_of(&which)}});
  EXPECT_EQ(acquired.size(), released.size());
  std::vector<std::uint64_t> times;
  for (std::size_t index = 0; index < std::min(acquired.size(), released.size()); ++index) {
    EXPECT_EQ(acquired[index].processor, released[index].processor);
    times.push_back(released[index].time - acquired[index].time);
  }
  return times;
}

KDPC_TEST(SpinLockHold, IsMeasuredByTheTraceAndTheAdviceIsNotEnforced, .processors = 2, .simulated_only = "says how long something takes") {
  RULE("LCK-6");
  initialize(m);
  for (unsigned processor = 0; processor < 2; ++processor)
    m.on(processor, PASSIVE_LEVEL, [] {
      for (const ULONG microseconds : {5, 60}) {
        KIRQL old;
        KeAcquireSpinLock(&lock, &old);
        KeStallExecutionProcessor(microseconds);
        KeReleaseSpinLock(&lock, old);
      }
    });
  EXPECT_NO_FINDINGS();
  const auto times = hold_times(m, lock);
  ASSERT_EQ(times.size(), 4u);
  for (std::size_t index = 0; index < times.size(); index += 2) {
    EXPECT_GE(times[index], 5'000u);
    EXPECT_LT(times[index], kAdvisedNanoseconds);
    EXPECT_GE(times[index + 1], 60'000u);
    EXPECT_LT(times[index + 1], 61'000u);
  }
}

}  // namespace
