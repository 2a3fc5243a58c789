// Waiting for several objects, announcing a wait, alerts: SEMANTICS 8.1.
#include <wdm.h>

#include <chrono>
#include <cstring>

#include "kdpc/test.h"
#include "kernel/system.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

PVOID objects[64];
KWAIT_BLOCK blocks[64];
KSEMAPHORE semaphore;

NTSTATUS wait_for_these(ULONG count, WAIT_TYPE type, LARGE_INTEGER* limit = nullptr) {
  return KeWaitForMultipleObjects(count, objects, type, Executive, KernelMode, FALSE, limit, count > THREAD_WAIT_OBJECTS ? blocks : nullptr);
}
NTSTATUS poll_these(ULONG count, WAIT_TYPE type) {
  LARGE_INTEGER zero = hundreds_of_ns(0);
  return wait_for_these(count, type, &zero);
}

// Objects 0 to 2 are the first events.
void initialize(kdpc::lab::Machine& m, EVENT_TYPE type = SynchronizationEvent) {
  initialize_events(m, type);
  for (int index = 0; index < 4; ++index) objects[index] = &events[index];
}

NTSTATUS result;

kdpc::lab::Task start_waiting(kdpc::lab::Machine& m, ULONG count, WAIT_TYPE type) {
  auto task = m.start(0, PASSIVE_LEVEL, [count, type] {
    result = wait_for_these(count, type);
    note('w');
  });
  let_rest(m);
  return task;
}

void set(kdpc::lab::Machine& m, int index) {
  m.on(0, PASSIVE_LEVEL, [index] { KeSetEvent(&events[index], IO_NO_INCREMENT, FALSE); });
}

// -- any ------------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(WaitAny, ReturnsTheFirstSignalledObjectsIndexAndTakesOnlyThatOne) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(poll_these(3, WaitAny), STATUS_TIMEOUT);
    KeSetEvent(&events[2], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
    KDPC_EXPECT_EQ(wait_for_these(3, WaitAny), STATUS_WAIT_1);
    KDPC_EXPECT_EQ(KeReadStateEvent(&events[1]), 0);
    KDPC_EXPECT_EQ(wait_for_these(3, WaitAny), STATUS_WAIT_2);
    KDPC_EXPECT_EQ(poll_these(3, WaitAny), STATUS_TIMEOUT);
  });
}

KDPC_TEST(WaitAny, IsEndedByWhicheverIsSignalledAndForgetsTheOthers) {
  RULE("WAIT-4");
  for (int index = 0; index < 3; ++index) {
    initialize(m);
    auto waiting = start_waiting(m, 3, WaitAny);
    EXPECT_FALSE(waiting.done());
    set(m, index);
    EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
    EXPECT_EQ(result, STATUS_WAIT_0 + index);
    m.on(0, PASSIVE_LEVEL, [] {
      for (KEVENT& event : events) KDPC_EXPECT(IsListEmpty(&event.Header.WaitListHead));
    });
  }
}

KDPC_TEST(WaitAny, OfSixtyFourObjectsNeedsAnArrayOfBlocks) {
  RULE("WAIT-4");
  static KEVENT many[64];
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (int index = 0; index < 64; ++index) {
      KeInitializeEvent(&many[index], SynchronizationEvent, FALSE);
      objects[index] = &many[index];
    }
  });
  auto waiting = start_waiting(m, 64, WaitAny);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&many[63], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(result, STATUS_WAIT_63);
}

KDPC_TEST(WaitAny, TheSameObjectMayStandThereTwice) {
  initialize(m);
  objects[1] = &events[0];
  auto waiting = start_waiting(m, 2, WaitAny);
  set(m, 0);
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(result, STATUS_WAIT_0);
}

KDPC_TEST(WaitForMultiple, MoreThanThreeObjectsWithoutBlocksAreABugCheck) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(poll_these(3, WaitAny), STATUS_TIMEOUT);
    KeWaitForMultipleObjects(4, objects, WaitAny, Executive, KernelMode, FALSE, nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0x0C);
}

KDPC_TEST(WaitForMultiple, MoreThanSixtyFourObjectsAreABugCheck) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { KeWaitForMultipleObjects(65, objects, WaitAny, Executive, KernelMode, FALSE, nullptr, blocks); });
  EXPECT_BUGCHECK(0x0C);
}

KDPC_TEST(WaitForMultiple, NoObjectAtAllIsAFinding) {
  m.on(0, PASSIVE_LEVEL, [] { KeWaitForMultipleObjects(0, objects, WaitAll, Executive, KernelMode, FALSE, nullptr, nullptr); });
  EXPECT_BUGCHECK(0x1E, 0xC0000420u);
}

// -- all ------------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(WaitAll, TakesNothingUntilItCanTakeEverything) {
  RULE("WAIT-4");
  initialize(m);
  auto waiting = start_waiting(m, 3, WaitAll);
  for (const int index : {2, 0}) {
    set(m, index);
    let_rest(m);
    EXPECT_FALSE(waiting.done());
  }
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(KeReadStateEvent(&events[0]) != 0 && KeReadStateEvent(&events[2]) != 0);
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);  // somebody else takes one of them
  });
  set(m, 1);
  let_rest(m);
  EXPECT_FALSE(waiting.done());
  set(m, 0);
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(result, STATUS_SUCCESS);
  m.on(0, PASSIVE_LEVEL, [] {
    for (int index = 0; index < 3; ++index) KDPC_EXPECT_EQ(KeReadStateEvent(&events[index]), 0);
  });
}

KDPC_TEST(WaitAll, DoesNotStandInTheWayOfWhoWaitsForLess) {
  initialize(m);
  auto all = start_waiting(m, 2, WaitAll);
  auto one = waiter(m, 0, 8, events[0], 'o');
  set(m, 0);  // the first in the list cannot be satisfied, the second can
  EXPECT_TRUE(m.run_until([&] { return one.done(); }, within(1s)));
  EXPECT_FALSE(all.done());
  set(m, 1);
  set(m, 0);
  EXPECT_TRUE(m.run_until([&] { return all.done(); }, within(1s)));
}

KDPC_TEST(WaitAll, OfObjectsOfEveryKindConsumesEachAsItsTypeSays, .simulated_only = "looks before 20 milliseconds are over") {
  RULE("WAIT-4");
  static KTIMER timer;
  static KMUTEX mutex;
  initialize(m, NotificationEvent);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSemaphore(&semaphore, 0, 5);
    KeInitializeTimerEx(&timer, SynchronizationTimer);
    KeInitializeMutex(&mutex, 0);
    KeSetTimer(&timer, in_ms(20), nullptr);
    objects[1] = &semaphore;
    objects[2] = &timer;
    objects[3] = &mutex;
  });
  auto waiting = m.start(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(wait_for_these(4, WaitAll), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 0);
    KDPC_EXPECT_EQ(KeReleaseMutex(&mutex, FALSE), 0);
  });
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 2, FALSE);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
  });
  let_rest(m);
  EXPECT_FALSE(waiting.done());
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(KeReadStateEvent(&events[0]) != 0);
    KDPC_EXPECT_EQ(KeReadStateSemaphore(&semaphore), 1);
    KDPC_EXPECT_EQ(KeReadStateTimer(&timer), FALSE);
    KDPC_EXPECT_EQ(KeReadStateMutex(&mutex), 1);
  });
}

KDPC_TEST(WaitForMultiple, ItsTimeLimitEndsItAndLeavesTheObjectsAlone) {
  RULE("WAIT-4");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    LARGE_INTEGER limit = in_ms(20);
    const ULONGLONG before = KeQueryInterruptTime();
    KDPC_EXPECT_EQ(wait_for_these(2, WaitAll, &limit), STATUS_TIMEOUT);
    KDPC_EXPECT(KeQueryInterruptTime() - before >= 200'000);
    KDPC_EXPECT(KeReadStateEvent(&events[0]) != 0);
  });
}

// -- WAIT-3: at Dispatch --------------------------------------------------------------------------------------------------------------------

KDPC dpc;
volatile int dpc_runs = 0;
VOID NTAPI poll_in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  KDPC_EXPECT_EQ(poll_these(2, WaitAny), STATUS_TIMEOUT);
  KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
  KDPC_EXPECT_EQ(poll_these(2, WaitAll), STATUS_TIMEOUT);
  KDPC_EXPECT_EQ(poll_these(2, WaitAny), STATUS_WAIT_1);
  dpc_runs = dpc_runs + 1;
}
VOID NTAPI wait_in_dpc(PKDPC, PVOID, PVOID, PVOID) { wait_for_these(2, WaitAny); }

void insert(PKDEFERRED_ROUTINE routine) {
  KeInitializeDpc(&dpc, routine, nullptr);
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
}

KDPC_TEST(WaitForMultiple, AtDispatchWithATimeoutOfZeroOnlyPolls) {
  RULE("WAIT-3");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { insert(poll_in_dpc); });
  EXPECT_EQ(dpc_runs, 1);
}

KDPC_TEST(WaitForMultiple, ForEverInADpcIsAnAttemptedSwitch) {
  RULE("WAIT-3");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] { insert(wait_in_dpc); });
  EXPECT_BUGCHECK(0xB8, any, kdpc::processor(0).idle_thread, any, 0);
}

KDPC_TEST(WaitForMultiple, ForEverInAThreadAtDispatchIs121) {
  RULE("WAIT-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] { wait_for_these(2, WaitAll); });
  EXPECT_BUGCHECK(0xC4, 0x121, DISPATCH_LEVEL, objects, 0);
}

KDPC_TEST(WaitForMultiple, ForAMomentInAThreadAtDispatchIs122) {
  RULE("WAIT-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL, [] {
    LARGE_INTEGER moment = hundreds_of_ns(-1);
    wait_for_these(2, WaitAll, &moment);
  });
  EXPECT_BUGCHECK(0xC4, 0x122, DISPATCH_LEVEL, objects);
}

KDPC_TEST(WaitForMultiple, AboveDispatchEvenAPollIs120) {
  RULE("WAIT-3");
  initialize(m);
  m.on(0, DISPATCH_LEVEL + 1, [] { poll_these(2, WaitAny); });
  EXPECT_BUGCHECK(0xC4, 0x120, DISPATCH_LEVEL + 1, objects);
}

KDPC_TEST(WaitForMultiple, AtDispatchOnAFreeBuildBlocks, .options = {{"irql_checks", "free"}}) {
  RULE("WAIT-3");
  initialize(m);
  auto waiting = m.start(0, DISPATCH_LEVEL, [] {
    KDPC_EXPECT_EQ(wait_for_these(2, WaitAny), STATUS_WAIT_1);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
  });
  let_rest(m);
  set(m, 1);
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
}

// -- WAIT-1: a signal that announces the wait after it --------------------------------------------------------------------------------------

KDPC_TEST(SignalAndWait, LeavesTheCallerAtDispatchUntilItsWaitHasBegun) {
  RULE("WAIT-1");
  initialize(m);
  waiter(m, 0, 12, events[0], 'h');
  auto task = m.start(0, APC_LEVEL, [] {
    KDPC_EXPECT_EQ(KeSetEvent(&events[0], IO_NO_INCREMENT, TRUE), 0);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    note('1');  // a higher thread is ready, but nobody comes between the two calls
    KDPC_EXPECT_EQ(wait_for(&events[1]), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), APC_LEVEL);
    note('2');
  });
  let_rest(m);
  EXPECT_STREQ(order, "1h");
  set(m, 1);
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
  EXPECT_STREQ(order, "1h2");
}

KDPC_TEST(SignalAndWait, WorksWithMutexesSemaphoresPulsesAndSeveralObjects) {
  RULE("WAIT-1");
  static KMUTEX mutex;
  initialize(m, NotificationEvent);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeMutex(&mutex, 0);
    KeInitializeSemaphore(&semaphore, 0, 5);
    KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
    const auto waits = [] {
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
      KDPC_EXPECT_EQ(wait_for_these(2, WaitAny), STATUS_WAIT_1);
      KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    };
    KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 1, TRUE);
    waits();
    KePulseEvent(&events[2], IO_NO_INCREMENT, TRUE);
    waits();
    wait_for(&mutex);
    KDPC_EXPECT_EQ(KeReleaseMutex(&mutex, TRUE), 0);
    waits();
  });
}

KDPC_TEST(SignalAndWait, APromiseThatWasNotKeptIsForgotten) {
  initialize(m, NotificationEvent);
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, TRUE);
    KeLowerIrql(PASSIVE_LEVEL);
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    KeLowerIrql(old);
  });
}

// -- WAIT-4: alerts -------------------------------------------------------------------------------------------------------------------------

NTSTATUS wait_alertably(KPROCESSOR_MODE mode) { return KeWaitForSingleObject(&events[0], Executive, mode, TRUE, nullptr); }

PKTHREAD alerted_thread;

kdpc::lab::Task start_alertable(kdpc::lab::Machine& m, KPROCESSOR_MODE mode) {
  auto task = m.start(0, PASSIVE_LEVEL, [mode] {
    alerted_thread = KeGetCurrentThread();
    result = wait_alertably(mode);
  });
  let_rest(m);
  return task;
}

KDPC_TEST(Alert, EndsAnAlertableWait) {
  RULE("WAIT-4");
  initialize(m);
  for (const KPROCESSOR_MODE mode : {KernelMode, UserMode}) {
    auto waiting = start_alertable(m, mode);
    m.on(0, PASSIVE_LEVEL, [mode] { KDPC_EXPECT_EQ(KeAlertThread(alerted_thread, mode), FALSE); });
    EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
    EXPECT_EQ(result, STATUS_ALERTED);
  }
}

KDPC_TEST(Alert, OfAThreadThatDoesNotWaitEndsItsNextAlertableWaitOrDelay) {
  RULE("WAIT-4");
  RULE("WAIT-5");
  initialize(m);
  m.on(0, PASSIVE_LEVEL, [] {
    PKTHREAD self = KeGetCurrentThread();
    KDPC_EXPECT_EQ(KeAlertThread(self, KernelMode), FALSE);
    KDPC_EXPECT_EQ(KeAlertThread(self, KernelMode), TRUE);
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT);  // not alertable
    KDPC_EXPECT_EQ(wait_alertably(KernelMode), STATUS_ALERTED);
    KeAlertThread(self, KernelMode);
    LARGE_INTEGER interval = in_ms(20);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, TRUE, &interval), STATUS_ALERTED);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, TRUE, &interval), STATUS_SUCCESS);
  });
}

KDPC_TEST(Alert, ForTheUserDoesNotEndAWaitOfTheKernels) {
  RULE("WAIT-4");
  initialize(m);
  auto waiting = start_alertable(m, KernelMode);
  m.on(0, PASSIVE_LEVEL, [] { KeAlertThread(alerted_thread, UserMode); });
  let_rest(m);
  EXPECT_FALSE(waiting.done());
  set(m, 0);
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(result, STATUS_SUCCESS);
}

KDPC_TEST(Alert, ASignalledObjectComesBeforeIt) {
  RULE("WAIT-4");
  initialize(m, NotificationEvent);
  m.on(0, PASSIVE_LEVEL, [] {
    KeAlertThread(KeGetCurrentThread(), KernelMode);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KDPC_EXPECT_EQ(wait_alertably(KernelMode), STATUS_SUCCESS);
    KeClearEvent(&events[0]);
    KDPC_EXPECT_EQ(wait_alertably(KernelMode), STATUS_ALERTED);
  });
}

// -- what a run that cannot go on says ------------------------------------------------------------------------------------------------------

KDPC_TEST(Quiescence, NamesAllThatIsWaitedForAndWhoOwnsAMutex, .simulated_only = "asks for an explanation who waits for what") {
  static KMUTEX mutex;
  initialize(m);
  m.start(0, PASSIVE_LEVEL,
          [] {
            KeInitializeMutex(&mutex, 0);
            wait_for(&mutex);
            wait_for(&events[1]);
          },
          {.name = "owner"});
  let_rest(m);
  objects[1] = &mutex;
  auto never = start_waiting(m, 2, WaitAll);
  EXPECT_FALSE(m.run_until([&] { return never.done(); }, within(1s)));
  EXPECT_ENDED(Quiescent);
  const std::string text = m.outcome().text;
  EXPECT_NE(text.find("all of the synchronization event"), std::string::npos) << text;
  EXPECT_NE(text.find("the mutex at"), std::string::npos) << text;
  EXPECT_NE(text.find("\"owner\""), std::string::npos) << text;
}

}  // namespace
