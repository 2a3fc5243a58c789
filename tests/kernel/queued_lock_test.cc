// In-stack queued spin locks: SEMANTICS LCK-2.
#include <wdm.h>

#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/queued_lock.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

// -- IRQL, and what the handle says -----------------------------------------------------------------------------------------------------------

KDPC_TEST(QueuedSpinLock, RaisesToDispatchAndRestoresWhatTheHandleRemembers) {
  RULE("LCK-2");
  initialize(m);
  for (const unsigned level : {PASSIVE_LEVEL, APC_LEVEL, DISPATCH_LEVEL}) {
    m.on(0, level, [level] {
      KLOCK_QUEUE_HANDLE handle;
      KeAcquireInStackQueuedSpinLock(&lock, &handle);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
      KDPC_EXPECT_EQ(handle.OldIrql, level);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
      KeReleaseInStackQueuedSpinLock(&handle);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), TRUE);
    });
  }
}

KDPC_TEST(QueuedSpinLock, AtDpcLevelLeavesTheLevelAndTheOldLevelAlone) {
  RULE("LCK-2");
  initialize(m);
  for (const unsigned level : {unsigned{DISPATCH_LEVEL}, 5u, unsigned{HIGH_LEVEL}}) {
    m.on(0, level, [level] {
      KLOCK_QUEUE_HANDLE handle;
      handle.OldIrql = 77;
      KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handle);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(handle.OldIrql, 77);
      KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
      KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), level);
      KDPC_EXPECT_EQ(lock, 0u);
    });
  }
}

KDPC_TEST(QueuedSpinLock, OneProcessorMayHoldSeveral) {
  RULE("LCK-2");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KSPIN_LOCK second;
    KeInitializeSpinLock(&second);
    KeAcquireInStackQueuedSpinLock(&lock, &handles[0]);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&second, &handles[1]);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[1]);
    KDPC_EXPECT_EQ(KeTestSpinLock(&lock), FALSE);
    KeReleaseInStackQueuedSpinLock(&handles[0]);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
  });
}

KDPC_TEST(QueuedSpinLock, TheSameLockMayLaterBeUsedAsAnOrdinaryOneWhileNobodyHasIt) {
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    KDPC_EXPECT_EQ(KeTryToAcquireSpinLockAtDpcLevel(&lock), FALSE);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
    KDPC_EXPECT_EQ(KeTryToAcquireSpinLockAtDpcLevel(&lock), TRUE);
    KeReleaseSpinLockFromDpcLevel(&lock);
  });
}

KDPC_TEST(QueuedSpinLock, AcquiredAboveDispatchIs42) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, 5, [] { KeAcquireInStackQueuedSpinLock(&lock, &handles[0]); });
  EXPECT_BUGCHECK(0xC4, 0x42, 5, &lock, 0);
}
KDPC_TEST(QueuedSpinLock, ReleasedAboveDispatchIs35WithTheOldLevel) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, APC_LEVEL, [] {
    KIRQL old;
    KeAcquireInStackQueuedSpinLock(&lock, &handles[0]);
    KeRaiseIrql(7, &old);
    KeReleaseInStackQueuedSpinLock(&handles[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0x35, 7, &lock, APC_LEVEL);
}
KDPC_TEST(QueuedSpinLock, ReleasedBelowDispatchIs35WithTheOldLevel, .checks = {.off = {"lock-held-below-dispatch", "irql-lower-mismatch"}}) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeAcquireInStackQueuedSpinLock(&lock, &handles[0]);
    KeLowerIrql(APC_LEVEL);
    KeReleaseInStackQueuedSpinLock(&handles[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0x35, APC_LEVEL, &lock, PASSIVE_LEVEL);
}
KDPC_TEST(QueuedSpinLock, AcquiredAtDpcLevelBelowDispatchIs40) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, APC_LEVEL, [] { KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]); });
  EXPECT_BUGCHECK(0xC4, 0x40, APC_LEVEL, &lock, 0);
}
KDPC_TEST(QueuedSpinLock, ReleasedFromDpcLevelBelowDispatchIs41, .checks = {.off = {"lock-held-below-dispatch"}}) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeAcquireInStackQueuedSpinLock(&lock, &handles[0]);
    KeLowerIrql(PASSIVE_LEVEL);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_BUGCHECK(0xC4, 0x41, PASSIVE_LEVEL, &lock, 0);
}
KDPC_TEST(QueuedSpinLock, AFreeBuildDropsTheLevelToDispatch, .options = {{"irql_checks", "free"}}, .checks = {.off = {"irql-lower-mismatch"}}) {
  RULE("IRQL-7");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(7, &old);
    KeAcquireInStackQueuedSpinLock(&lock, &handles[0]);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KDPC_EXPECT_EQ(handles[0].OldIrql, 7);
    KeReleaseInStackQueuedSpinLock(&handles[0]);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), 7);
    KeLowerIrql(old);
  });
}

// -- order ------------------------------------------------------------------------------------------------------------------------------------

struct Arrival {
  unsigned processor;
  ULONG microsecond;
};

// Processor 0 holds the lock for a while; the others come one after the other, and each says its letter when it has the lock.
void expect_order(kdpc::lab::Machine& m, const std::vector<Arrival>& arrivals, const char* expected) {
  initialize(m);
  std::vector<kdpc::lab::Task> tasks;
  for (const Arrival& arrival : arrivals)
    tasks.push_back(m.start(arrival.processor, DISPATCH_LEVEL, [arrival] {
      KeStallExecutionProcessor(arrival.microsecond);
      KLOCK_QUEUE_HANDLE& handle = handles[arrival.processor];
      KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handle);
      note(static_cast<char>('0' + arrival.processor));
      KeStallExecutionProcessor(100);
      KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle);
    }));
  EXPECT_TRUE(m.run_until([&] { return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.done(); }); }, within(1s)));
  EXPECT_STREQ(order, expected);
}

KDPC_TEST(QueuedSpinLockOrder, IsThatOfArrival, .processors = 6, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("LCK-2");
  expect_order(m, {{0, 1}, {1, 50}, {2, 40}, {3, 30}, {4, 20}, {5, 10}}, "054321");
}

KDPC_TEST(QueuedSpinLockOrder, IsNotTheOneOfProcessorNumbers, .processors = 6, .simulated_only = "counts on the order of the processors' deeds") {
  RULE("LCK-2");
  expect_order(m, {{3, 1}, {0, 50}, {5, 11}, {1, 30}, {4, 71}, {2, 60}}, "351024");
}

KDPC_TEST(QueuedSpinLockOrder, WhoComesBackStandsBehindThoseWhoWait, .processors = 3,
          .simulated_only = "counts on the order of the processors' deeds") {
  RULE("LCK-2");
  initialize(m);
  std::vector<kdpc::lab::Task> tasks;
  for (unsigned processor = 0; processor < 3; ++processor)
    tasks.push_back(m.start(processor, DISPATCH_LEVEL, [processor] {
      KeStallExecutionProcessor(10 * processor + 1);
      for (int turn = 0; turn < 5; ++turn) {
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[processor]);
        note(static_cast<char>('0' + processor));
        KeStallExecutionProcessor(100);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[processor]);
      }
    }));
  EXPECT_TRUE(m.run_until([&] { return tasks[0].done() && tasks[1].done() && tasks[2].done(); }, within(1s)));
  EXPECT_STREQ(order, "012012012012012");
  const auto acquired = m.events("lock-acquired", {{"lock", m.address_of(&lock)}});
  ASSERT_EQ(acquired.size(), 15u);
  EXPECT_EQ(acquired[0]["waited"], 0u);
  for (std::size_t index = 1; index < acquired.size(); ++index) EXPECT_EQ(acquired[index]["waited"], 1u) << index;
  EXPECT_EQ(acquired[1]["handle"], m.address_of(&handles[1]));
}

KDPC_TEST(QueuedSpinLockOrder, NobodyWaitsForLongerThanThoseBeforeHimTake, .processors = 4, .simulated_only = "says how long something takes") {
  RULE("LCK-2");
  initialize(m);
  std::vector<kdpc::lab::Task> tasks;
  for (unsigned processor = 0; processor < 4; ++processor)
    tasks.push_back(m.start(processor, DISPATCH_LEVEL, [processor] {
      for (int turn = 0; turn < 50; ++turn) {
        KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[processor]);
        KeStallExecutionProcessor(10);
        KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[processor]);
      }
    }));
  EXPECT_TRUE(m.run_until([&] { return std::all_of(tasks.begin(), tasks.end(), [](const auto& task) { return task.done(); }); }, within(1s)));
  std::uint64_t last[4] = {};
  for (const auto& event : m.events("lock-acquired", {{"lock", m.address_of(&lock)}})) {
    if (last[event.processor] != 0) EXPECT_LT(event.time - last[event.processor], 45'000u);
    last[event.processor] = event.time;
  }
}

VOID NTAPI note_dpc(PKDPC, PVOID, PVOID, PVOID) { note('d'); }

KDPC_TEST(QueuedSpinLock, WhoWaitsAtDispatchIsInterruptedByDevicesButNotByDpcs, .processors = 2,
          .simulated_only = "counts on the order of the processors' deeds") {
  RULE("LCK-2");
  static KDPC dpc;
  initialize(m);
  auto holder = m.start(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpc, note_dpc, nullptr);
    KeSetTargetProcessorDpc(&dpc, 1);
    KeSetImportanceDpc(&dpc, HighImportance);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&lock, &handles[0]);
    note('a');
    KeStallExecutionProcessor(200);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KeStallExecutionProcessor(200);
    note('r');
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handles[0]);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 1ms));
  auto waiter = m.start(1, PASSIVE_LEVEL, [] {
    KeAcquireInStackQueuedSpinLock(&lock, &handles[1]);
    note('b');
    KeReleaseInStackQueuedSpinLock(&handles[1]);
    note('e');
  });
  EXPECT_TRUE(m.run_until([&] { return holder.done() && waiter.done(); }, within(1s)));
  EXPECT_STREQ(order, "arbde");
  EXPECT_GE(m.count("activity-began", {{"kind", 5}}), 1u);  // the IPI came through
}

}  // namespace
