// Mutexes: ownership, recursion, APCs, and what becomes of them when their owner ends. SEMANTICS 8.1.
#include <wdm.h>

#include <chrono>
#include <limits>

#include "kdpc/test.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

KMUTEX mutex;
NTSTATUS result;

void initialize(kdpc::lab::Machine& m) {
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeMutex(&mutex, 0); });
}

KDPC_TEST(Mutex, IsOwnedAsOftenAsItWasAcquired) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 1);
    KDPC_EXPECT_EQ(wait_for(&mutex), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 0);
    KDPC_EXPECT_EQ(poll(&mutex), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), -1);
    KDPC_EXPECT(KeReleaseMutex(&mutex, FALSE) != 0);  // it is still owned
    KDPC_EXPECT_EQ(KeReleaseMutex(&mutex, FALSE), 0);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 1);
    KDPC_EXPECT(mutex.OwnerThread == nullptr);
  });
}

KDPC_TEST(Mutex, ThatIsFreeAndNamesAnOwnerHasBeenOverwritten) {
  static KMUTEX mutex;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeMutex(&mutex, 0);
    mutex.OwnerThread = reinterpret_cast<PKTHREAD>(&mutex);
    KeWaitForSingleObject(&mutex, Executive, KernelMode, FALSE, nullptr);
  });
  EXPECT_BUGCHECK(0x139, 3, &mutex);
}

KDPC_TEST(Mutex, KeepsOthersOutAndPassesToTheFirstWhoWaits) {
  initialize(m);
  for (const char letter : {'a', 'b'})
    m.start(0, PASSIVE_LEVEL, [letter] {
      KDPC_EXPECT_EQ(KeWaitForMutexObject(&mutex, Executive, KernelMode, FALSE, nullptr), STATUS_SUCCESS);
      note(letter);
      LARGE_INTEGER pause = in_ms(20);
      KeDelayExecutionThread(KernelMode, FALSE, &pause);
      note(static_cast<char>(letter - 'a' + 'A'));
      KeReleaseMutex(&mutex, FALSE);
    });
  EXPECT_TRUE(m.run_until([] { return steps == 4; }, 1s));
  EXPECT_STREQ(order, "aAbB");
}

KDPC_TEST(Mutex, ReleasingBoostsItsNextOwnerByOne) {
  RULE("BOOST-1");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    KeReleaseMutex(&mutex, FALSE);
  });
  auto owner = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    wait_for(&events[0]);
    KeReleaseMutex(&mutex, FALSE);
  });
  m.run_for(1ms);
  auto next = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    KDPC_EXPECT_EQ(KeQueryPriorityThread(KeGetCurrentThread()), 9);
    KeReleaseMutex(&mutex, FALSE);
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return owner.done() && next.done(); }, 1s));
}

KDPC_TEST(Mutex, KeepsNormalApcsOffWhileItIsOwnedHoweverOften) {
  RULE("CTX-2");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    wait_for(&mutex);
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), TRUE);
    KDPC_EXPECT_EQ(KeAreAllApcsDisabled(), FALSE);
    KeReleaseMutex(&mutex, FALSE);
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), TRUE);
    KeReleaseMutex(&mutex, FALSE);
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), FALSE);
  });
}

KDPC_TEST(Mutex, IsThereForWhoeverWaitsForAllWhenTheOwnerItselfAsks) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    PVOID both[] = {&mutex, &events[0]};
    wait_for(&mutex);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KDPC_EXPECT_EQ(KeWaitForMultipleObjects(2, both, WaitAll, Executive, KernelMode, FALSE, nullptr, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), -1);
    KeReleaseMutex(&mutex, FALSE);
    KeReleaseMutex(&mutex, FALSE);
  });
}

KDPC_TEST(Mutex, AcquiredTooOftenRaisesTheLimit) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    mutex.Header.SignalState = std::numeric_limits<LONG>::min();  // two thousand million acquisitions later
    wait_for(&mutex);
  });
  EXPECT_BUGCHECK(0x1E, 0xC0000191u, &mutex);
}

KDPC_TEST(Mutex, ReleasedByAStrangerIsAFinding) {
  RULE("WAIT-4");
  initialize(m);
  m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    wait_for(&events[0]);
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeReleaseMutex(&mutex, FALSE); });
  EXPECT_BUGCHECK(0x1E, 0xC0000046u, &mutex, mutex.OwnerThread);
}

KDPC_TEST(Mutex, ReleasedByNobodysOwnerIsAFinding) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { KeReleaseMutex(&mutex, FALSE); });
  EXPECT_BUGCHECK(0x1E, 0xC0000046u, &mutex, 0);
}

KDPC_TEST(Mutex, HeldByAThreadThatEndsStopsTheMachine) {
  initialize(m);
  static PKTHREAD owner;
  m.on(0, PASSIVE_LEVEL, [] {
    owner = KeGetCurrentThread();
    wait_for(&mutex);
  });
  m.run_for(1ms);
  EXPECT_BUGCHECK(0x4000008A, owner, &mutex);
}

// -- the other form, which is no driver's ---------------------------------------------------------------------------------------------------

KDPC_TEST(Mutant, HeldByAThreadThatEndsIsAbandonedAndItsNextOwnerIsTold) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeMutant(&mutex, FALSE); });
  m.on(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    wait_for(&mutex);
    KDPC_EXPECT_EQ(KeAreApcsDisabled(), FALSE);
  });
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 1);
    KDPC_EXPECT_EQ(poll(&mutex), STATUS_ABANDONED_WAIT_0);
    KDPC_EXPECT_EQ(poll(&mutex), STATUS_SUCCESS);  // told once
    KeReleaseMutex(&mutex, FALSE);
    KeReleaseMutex(&mutex, FALSE);
    KDPC_EXPECT_EQ(poll(&mutex), STATUS_SUCCESS);
    KeReleaseMutex(&mutex, FALSE);
  });
}

void abandon_under(kdpc::lab::Machine& m, WAIT_TYPE type, NTSTATUS expected) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeMutant(&mutex, FALSE); });
  m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&mutex);
    wait_for(&events[1]);
  });
  m.run_for(1ms);
  auto waiting = m.start(0, PASSIVE_LEVEL, [type] {
    PVOID both[] = {&events[0], &mutex};
    if (type == WaitAll) KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    result = KeWaitForMultipleObjects(2, both, type, Executive, KernelMode, FALSE, nullptr, nullptr);
    KeReleaseMutex(&mutex, FALSE);
  });
  m.run_for(1ms);
  EXPECT_FALSE(waiting.done());
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, 1s));
  EXPECT_EQ(result, expected);
}

KDPC_TEST(Mutant, AbandonedWhileSomebodyWaitsForAnyNamesTheIndex) {
  RULE("WAIT-4");
  abandon_under(m, WaitAny, STATUS_ABANDONED_WAIT_0 + 1);
}
KDPC_TEST(Mutant, AbandonedWhileSomebodyWaitsForAllIsToldWithoutAnIndex) {
  RULE("WAIT-4");
  abandon_under(m, WaitAll, STATUS_ABANDONED);
}

KDPC_TEST(Mutant, CanBeginOwned) {
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeMutant(&mutex, TRUE);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 0);
    KDPC_EXPECT_EQ(mutex.OwnerThread, KeGetCurrentThread());
    KeReleaseMutex(&mutex, FALSE);
  });
}

KDPC_TEST(Mutant, ReleasedByAStrangerAfterItWasAbandonedSaysSo) {
  RULE("WAIT-4");
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeMutant(&mutex, TRUE); });
  m.on(0, PASSIVE_LEVEL, [] { KeReleaseMutex(&mutex, FALSE); });
  EXPECT_BUGCHECK(0x1E, 0x80, &mutex, 0);
}

// -- work items and DPCs --------------------------------------------------------------------------------------------------------------------

WORK_QUEUE_ITEM item;
VOID NTAPI keep_mutex(PVOID) { wait_for(&mutex); }
VOID NTAPI stay_in_region(PVOID) { KeEnterCriticalRegion(); }
VOID NTAPI end_worker(PVOID) { PsTerminateSystemThread(STATUS_SUCCESS); }

void queue(kdpc::lab::Machine& m, PWORKER_THREAD_ROUTINE routine) {
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [routine] {
    ExInitializeWorkItem(&item, routine, &mutex);
    ExQueueWorkItem(&item, DelayedWorkQueue);
  });
  m.run_for(1ms);
}

KDPC_TEST(WorkItem, ThatKeepsAMutexIsAFinding) {
  queue(m, keep_mutex);
  EXPECT_BUGCHECK(0x39, keep_mutex, &mutex, &item);
}

KDPC_TEST(WorkItem, ThatStaysInACriticalRegionIsAFinding) {
  queue(m, stay_in_region);
  EXPECT_BUGCHECK(0x01, stay_in_region, 0, 0xFFFF, 1);
}

KDPC_TEST(WorkItem, ThatEndsTheSystemWorkerIsAFinding) {
  queue(m, end_worker);
  EXPECT_BUGCHECK(0xE9);
}

VOID NTAPI acquire_in_dpc(PKDPC, PVOID, PVOID, PVOID) { poll(&mutex); }

KDPC_TEST(Mutex, AcquiredInADpcBelongsToTheBorrowedThreadWhichIsAFinding) {
  RULE("IRQL-11");
  static KDPC dpc;
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, acquire_in_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xC7, 4, acquire_in_dpc, 0, 0xFFFF);
}

}  // namespace
