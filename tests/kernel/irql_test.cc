// The IRQL ladder: SEMANTICS section 1.
#include <gmock/gmock.h>
#include <wdm.h>

#include <vector>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"

namespace {

constexpr unsigned kVector = 0x51;  // DIRQL 5

struct Seen {
  std::vector<KIRQL> levels;
  void note() { levels.push_back(KeGetCurrentIrql()); }
};

KDPC_TEST(Irql, LevelsHaveTheNumbersOfX64) {
  RULE("IRQL-1");
  EXPECT_EQ(PASSIVE_LEVEL, 0);
  EXPECT_EQ(APC_LEVEL, 1);
  EXPECT_EQ(DISPATCH_LEVEL, 2);
  EXPECT_EQ(CLOCK_LEVEL, 13);
  EXPECT_EQ(IPI_LEVEL, 14);
  EXPECT_EQ(HIGH_LEVEL, 15);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL); });
}

// A system thread, a work item, a DPC, an ISR and a timer DPC each run at the level the documentation gives.
struct Places {
  KDPC dpc;
  KDPC timer_dpc;
  KTIMER timer;
  WORK_QUEUE_ITEM item;
  PKINTERRUPT interrupt;
  KIRQL in_dpc, in_timer_dpc, in_item, in_isr, in_synchronized;
  int done;
};
Places places;

VOID NTAPI in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  places.in_dpc = KeGetCurrentIrql();
  ++places.done;
}
VOID NTAPI in_timer_dpc(PKDPC, PVOID, PVOID, PVOID) {
  places.in_timer_dpc = KeGetCurrentIrql();
  ++places.done;
}
VOID NTAPI in_item(PVOID) {
  places.in_item = KeGetCurrentIrql();
  ++places.done;
}
BOOLEAN NTAPI in_isr(PKINTERRUPT, PVOID) {
  places.in_isr = KeGetCurrentIrql();
  ++places.done;
  return TRUE;
}
BOOLEAN NTAPI in_synchronized(PVOID) {
  places.in_synchronized = KeGetCurrentIrql();
  ++places.done;
  return TRUE;
}

KDPC_TEST(Irql, EveryKindOfRoutineRunsAtItsDocumentedLevel) {
  RULE("IRQL-1");
  places = {};
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&places.dpc, in_dpc, nullptr);
    KeInsertQueueDpc(&places.dpc, nullptr, nullptr);
    KeInitializeDpc(&places.timer_dpc, in_timer_dpc, nullptr);
    KeInitializeTimer(&places.timer);
    LARGE_INTEGER due;
    due.QuadPart = -10 * 1000 * 20;
    KeSetTimer(&places.timer, due, &places.timer_dpc);
    ExInitializeWorkItem(&places.item, in_item, nullptr);
    ExQueueWorkItem(&places.item, DelayedWorkQueue);
    IoConnectInterrupt(&places.interrupt, in_isr, nullptr, nullptr, kVector, 5, 7, Latched, FALSE, 1, FALSE);
    KDPC_EXPECT(KeSynchronizeExecution(places.interrupt, in_synchronized, nullptr) == TRUE);
    KDPC_EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
  });
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([] { return places.done == 5; }, kdpc::test::within(std::chrono::milliseconds(100))));
  EXPECT_EQ(places.in_dpc, DISPATCH_LEVEL);
  EXPECT_EQ(places.in_timer_dpc, DISPATCH_LEVEL);
  EXPECT_EQ(places.in_item, PASSIVE_LEVEL);
  EXPECT_EQ(places.in_isr, 7);  // SynchronizeIrql
  EXPECT_EQ(places.in_synchronized, 7);
}

KDPC_TEST(Irql, PagedPoolAboveApcLevelIsFatal) {
  RULE("IRQL-2");
  m.on(0, DISPATCH_LEVEL, [] { ExAllocatePoolWithTag(PagedPool, 100, 'gaP1'); });
  EXPECT_BUGCHECK(0xC4, 1, DISPATCH_LEVEL, PagedPool, 100);
}

KDPC_TEST(Irql, ABlockingWaitAtDispatchIsFatal) {
  RULE("IRQL-2");
  static KEVENT event;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0x121, DISPATCH_LEVEL, &event);
}

volatile int isr_runs = 0;
BOOLEAN NTAPI count_isr(PKINTERRUPT, PVOID) {
  isr_runs = isr_runs + 1;
  return TRUE;
}
volatile LONG dpc_runs = 0;
VOID NTAPI count_dpc(PKDPC, PVOID, PVOID, PVOID) { InterlockedIncrement(&dpc_runs); }

KDPC_TEST(Irql, AtDispatchDeviceAndClockInterruptsStillArrive) {
  RULE("IRQL-3");
  static PKINTERRUPT interrupt;
  isr_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&interrupt, count_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE); });
  static volatile bool at_dispatch;
  at_dispatch = false;
  auto task = m.start(0, DISPATCH_LEVEL, [] {
    at_dispatch = true;
    for (int i = 0; i < 1000 && isr_runs == 0; ++i) KeStallExecutionProcessor(1000);
    KDPC_EXPECT(isr_runs == 1);
    LARGE_INTEGER before, now;
    KeQueryTickCount(&before);
    do KeQueryTickCount(&now);
    while (now.QuadPart == before.QuadPart);  // ends: the clock comes in at DISPATCH_LEVEL
  });
  EXPECT_TRUE(m.run_until([] { return at_dispatch; }, kdpc::test::within(std::chrono::milliseconds(2))));
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, kdpc::test::within(std::chrono::seconds(1))));
}

KDPC_TEST(Irql, DispatchMasksDpcsOnItsProcessorOnly, .processors = 2) {
  RULE("IRQL-3");
  static KDPC here, there;
  dpc_runs = 0;
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&here, count_dpc, nullptr);
    KeInitializeDpc(&there, count_dpc, nullptr);
    KeSetTargetProcessorDpc(&there, 1);
    KeInsertQueueDpc(&here, nullptr, nullptr);
    KeInsertQueueDpc(&there, nullptr, nullptr);
    for (int turn = 0; turn < 10'000 && dpc_runs == 0; ++turn) KeStallExecutionProcessor(100);
    KDPC_EXPECT(dpc_runs == 1);  // the other processor's
  });
  EXPECT_EQ(dpc_runs, 2);
}

KDPC_TEST(Irql, KeSetEventAboveDispatchNamesTheEvent) {
  RULE("IRQL-4");
  RULE("IRQL-7");
  static KEVENT event;
  m.on(0, 5, [] {
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    KeSetEvent(&event, 0, FALSE);
  });
  EXPECT_BUGCHECK(0xC4, 0x80, 5, &event, 0);
}

KDPC_TEST(Irql, AcquiringAtDpcLevelBelowDispatchNamesTheLock) {
  RULE("IRQL-4");
  RULE("IRQL-7");
  static KSPIN_LOCK lock = 0;
  m.on(0, PASSIVE_LEVEL, [] { KeAcquireSpinLockAtDpcLevel(&lock); });
  EXPECT_BUGCHECK(0xC4, 0x40, PASSIVE_LEVEL, &lock, 0);
}

KDPC_TEST(Irql, RaisingToTheSameLevelDoesNothing) {
  RULE("IRQL-5");
  m.on(0, DISPATCH_LEVEL, [] {
    KIRQL old = 99;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KDPC_EXPECT(old == DISPATCH_LEVEL);
    KDPC_EXPECT(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);
    KDPC_EXPECT(KeGetCurrentIrql() == DISPATCH_LEVEL);
  });
}

KDPC_TEST(Irql, RaisingBelowTheCurrentLevelIsABugCheck) {
  RULE("IRQL-5");
  RULE("IRQL-8");
  m.on(0, DISPATCH_LEVEL, [] { KfRaiseIrql(APC_LEVEL); });
  EXPECT_BUGCHECK(0xC4, 0x30, DISPATCH_LEVEL, APC_LEVEL, 0);
}

KDPC_TEST(Irql, RaisingToALevelThatThereIsNotIsNotCalledTooLow) {
  RULE("IRQL-5");
  RULE("IRQL-8");
  m.on(0, DISPATCH_LEVEL, [] { KfRaiseIrql(0xDD); });
  EXPECT_BUGCHECK(0xC4, 0x30, DISPATCH_LEVEL, 0xDD, 0);
  EXPECT_THAT(m.outcome().report(), ::testing::HasSubstr("a level above HIGH_LEVEL, which there is not"));
}

KDPC_TEST(Irql, LoweringAboveTheCurrentLevelIsABugCheck) {
  RULE("IRQL-5");
  RULE("IRQL-8");
  m.on(0, PASSIVE_LEVEL, [] { KeLowerIrql(DISPATCH_LEVEL); });
  EXPECT_BUGCHECK(0xC4, 0x31, PASSIVE_LEVEL, DISPATCH_LEVEL, 0);
}

KDPC_TEST(Irql, ACheckedBuildStopsWithItsOwnCodes, .options = {{"irql_checks", "checked"}}) {
  RULE("IRQL-7");
  RULE("IRQL-8");
  m.on(0, DISPATCH_LEVEL, [] { KfRaiseIrql(APC_LEVEL); });
  EXPECT_BUGCHECK(0x9, DISPATCH_LEVEL, APC_LEVEL, 0, 1);
}

KDPC_TEST(Irql, AFreeBuildLowersAndRaisesAsItIsTold, .options = {{"irql_checks", "free"}}, .checks = {.off = {"irql-lower-mismatch"}}) {
  RULE("IRQL-6");
  RULE("IRQL-8");
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL first = 99, second = 99;
    KeRaiseIrql(APC_LEVEL, &first);
    KeRaiseIrql(DISPATCH_LEVEL, &second);
    KDPC_EXPECT(second == APC_LEVEL);
    KeLowerIrql(first);  // skipping a level is legal
    KDPC_EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
    KeRaiseIrql(DISPATCH_LEVEL, &first);
    KDPC_EXPECT(KfRaiseIrql(APC_LEVEL) == DISPATCH_LEVEL);  // raising to a lower level silently lowers
    KDPC_EXPECT(KeGetCurrentIrql() == APC_LEVEL);
    KeLowerIrql(DISPATCH_LEVEL);  // and lowering to a higher one raises
    KDPC_EXPECT(KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(PASSIVE_LEVEL);
  });
  EXPECT_NO_FINDINGS();
}

VOID NTAPI lower_in_dpc(PKDPC, PVOID, PVOID, PVOID) { KeLowerIrql(PASSIVE_LEVEL); }

KDPC_TEST(Irql, LoweringBelowDispatchInsideADpcIsABugCheck) {
  RULE("IRQL-7");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, lower_in_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC4, 0x31, DISPATCH_LEVEL, PASSIVE_LEVEL, 1);
}

KDPC_TEST(Irql, APendingDispatchInterruptIsDeliveredOnlyBelowDispatch, .checks = {.off = {"irql-lower-mismatch"}}) {
  RULE("IRQL-9");
  RULE("V-2");
  static KDPC dpc;
  dpc_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, count_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KDPC_EXPECT(dpc_runs == 1);  // at PASSIVE: before the insertion returns
    KIRQL old, higher;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    KDPC_EXPECT(dpc_runs == 1);
    KeRaiseIrql(HIGH_LEVEL, &higher);
    KeLowerIrql(higher);
    KDPC_EXPECT(dpc_runs == 1);  // HIGH and back to DISPATCH does not run it
    KeLowerIrql(APC_LEVEL);
    KDPC_EXPECT(dpc_runs == 2);  // APC_LEVEL does
    KeLowerIrql(PASSIVE_LEVEL);
  });
}

VOID NTAPI return_raised(PKDPC, PVOID, PVOID, PVOID) { KfRaiseIrql(5); }

KDPC_TEST(Irql, ADpcThatReturnsRaisedIsABugCheck) {
  RULE("IRQL-10");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, return_raised, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC8, (5 << 16) | (DISPATCH_LEVEL << 8) | 0x10, return_raised, &dpc);
}

VOID NTAPI change_apc_count(PKDPC, PVOID, PVOID, PVOID) { KeEnterCriticalRegion(); }

KDPC_TEST(Irql, ADpcThatChangesTheApcDisableCountIsABugCheck, .options = {{"irql_checks", "free"}}) {
  RULE("IRQL-11");
  static KDPC dpc;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, change_apc_count, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC7, 4, change_apc_count, 0, 0xffff);
}

KDPC_TEST(Irql, ATimerDpcThatChangesTheApcDisableCountHasItsOwnType, .options = {{"irql_checks", "free"}}) {
  RULE("IRQL-11");
  static KDPC dpc;
  static KTIMER timer;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, change_apc_count, nullptr);
    KeInitializeTimer(&timer);
    LARGE_INTEGER due;
    due.QuadPart = -1;
    KeSetTimer(&timer, due, &dpc);
  });
  kdpc::test::run_to_its_end(m, std::chrono::milliseconds(50));
  EXPECT_BUGCHECK(0xC7, 5, change_apc_count, 0, 0xffff);
}

// --- a driver that nobody checks, and one that lowers where it must not ---------------------------------------------------------------------------

KDPC_TEST(IrqlFree, ARoutineThatIsCalledTooHighDoesItsWorkAndTheLevelStays, .options = {{"irql_checks", "free"}}) {
  RULE("IRQL-6");
  static KEVENT event;
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeEvent(&event, NotificationEvent, FALSE); });
  m.on(0, HIGH_LEVEL, [] {
    KeSetEvent(&event, 0, FALSE);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), HIGH_LEVEL);
  });
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT(KeReadStateEvent(&event) != 0); });
}

KDPC_TEST(IrqlFree, ALevelThatDoesNotExistIsTheHighest, .options = {{"irql_checks", "free"}}) {
  RULE("IRQL-6");
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(200, &old);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), HIGH_LEVEL);
    KeLowerIrql(old);
  });
}

KDPC_TEST(Irql, RaisingToDpcLevelFromAboveNamesBothLevels) {
  RULE("IRQL-7");
  m.on(0, HIGH_LEVEL, [] { KeRaiseIrqlToDpcLevel(); });
  EXPECT_BUGCHECK(0xC4, 0x30, HIGH_LEVEL, DISPATCH_LEVEL, 0);
}

BOOLEAN NTAPI lower_in_isr(PKINTERRUPT, PVOID) {
  KeLowerIrql(PASSIVE_LEVEL);
  return TRUE;
}

KDPC_TEST(Irql, AnIsrThatLowersBelowDispatchIsAFinding) {
  RULE("IRQL-7");
  static PKINTERRUPT interrupt;
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&interrupt, lower_in_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE); });
  m.send_message(kVector, 0);
  kdpc::test::run_to_its_end(m, std::chrono::milliseconds(1));
  EXPECT_BUGCHECK(0xC4, 0x31, 5, PASSIVE_LEVEL, 0);
}

KDPC_TEST(Irql, ASpinLockRaisesAndLowersAndBothAreStated, .simulated_only = "asks for facts that are stated nowhere else") {
  static KSPIN_LOCK lock;
  KeInitializeSpinLock(&lock);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    KeReleaseSpinLock(&lock, old);
  });
  const auto changes = m.events("irql-changed");
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[0]["to"], DISPATCH_LEVEL + 0u);
  EXPECT_EQ(changes[1]["to"], PASSIVE_LEVEL + 0u);
}

}  // namespace
