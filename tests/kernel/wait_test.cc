// Events, waits, readying threads and their boosts: SEMANTICS 8.1, and RET-1 as far as threads see it.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "kernel/system.h"
#include "tests/kernel/due_time.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kQuantumEnd = 2;  // WaitReason::QuantumEnd, WaitReason::Preempted
constexpr std::uint64_t kPreempted = 3;

char order[64];
volatile int steps = 0;
void note(char step) {
  order[steps % 63] = step;
  steps = steps + 1;
}
void reset() {
  std::memset(order, 0, sizeof order);
  steps = 0;
}
VOID NTAPI note_in_dpc(PKDPC, PVOID Context, PVOID, PVOID) { note(*static_cast<const char*>(Context)); }

KEVENT events[4];
NTSTATUS wait_for(PVOID object) { return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, nullptr); }
NTSTATUS poll(PVOID object) {
  LARGE_INTEGER zero = hundreds_of_ns(0);
  return KeWaitForSingleObject(object, Executive, KernelMode, FALSE, &zero);
}

// A thread that waits for its event and then says its letter.
kdpc::lab::Task waiter(kdpc::lab::Machine& m, unsigned processor, unsigned priority, KEVENT& event, char letter) {
  auto task = m.start(processor, PASSIVE_LEVEL, [&event, letter] {
    KDPC_EXPECT_EQ(wait_for(&event), STATUS_SUCCESS);
    note(letter);
  }, {.priority = priority});
  m.run_for(1ms);
  return task;
}

void initialize_events(kdpc::lab::Machine& m, EVENT_TYPE type = SynchronizationEvent) {
  reset();
  m.on(0, PASSIVE_LEVEL, [type] {
    for (KEVENT& event : events) KeInitializeEvent(&event, type, FALSE);
  });
}

// -- WAIT-1: events -------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Event, SettingTellsWhetherItWasSignalled) {
  RULE("WAIT-1");
  for (const EVENT_TYPE type : {NotificationEvent, SynchronizationEvent}) {
    initialize_events(m, type);
    m.on(0, DISPATCH_LEVEL, [] {
      KDPC_EXPECT_EQ(KeReadStateEvent(&events[0]), 0);
      KDPC_EXPECT_EQ(KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE), 0);
      KDPC_EXPECT(KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE) != 0);
      KDPC_EXPECT(KeReadStateEvent(&events[0]) != 0);
      KDPC_EXPECT(KeResetEvent(&events[0]) != 0);
      KDPC_EXPECT_EQ(KeResetEvent(&events[0]), 0);
      KDPC_EXPECT_EQ(KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE), 0);
      KeClearEvent(&events[0]);
      KDPC_EXPECT_EQ(KeReadStateEvent(&events[0]), 0);
    });
  }
}

KDPC_TEST(Event, ANotificationEventReleasesAllAndStaysSet) {
  RULE("WAIT-1");
  initialize_events(m, NotificationEvent);
  for (const char letter : {'a', 'b', 'c'}) waiter(m, 0, 8, events[0], letter);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, 1s));
  EXPECT_STREQ(order, "abc");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);
  });
}

KDPC_TEST(Event, ASynchronizationEventReleasesOneAndIsClear) {
  RULE("WAIT-1");
  initialize_events(m);
  for (const char letter : {'a', 'b', 'c'}) waiter(m, 0, 8, events[0], letter);
  m.on(0, PASSIVE_LEVEL, [] { KDPC_EXPECT_EQ(KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE), 0); });
  m.run_for(50ms);
  EXPECT_STREQ(order, "a");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);  // nobody is left: it stays set for the next wait
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, 1s));
  EXPECT_STREQ(order, "abc");
}

KDPC_TEST(Event, PulsingReleasesWhoWaitsAndLeavesItClear) {
  initialize_events(m, NotificationEvent);
  for (const char letter : {'a', 'b'}) waiter(m, 0, 8, events[0], letter);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KePulseEvent(&events[0], IO_NO_INCREMENT, FALSE), 0);
    KDPC_EXPECT_EQ(KeReadStateEvent(&events[0]), 0);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 2; }, 1s));
}

KDPC_TEST(Event, SettingAboveDispatchIsRefused) {
  RULE("WAIT-1");
  initialize_events(m);
  m.on(0, DISPATCH_LEVEL + 1, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_BUGCHECK(0xC4, 0x80, DISPATCH_LEVEL + 1, &events[0], 0);
}

KDPC_TEST(Event, SettingWithTheWaitFlagAboveApcLevelIsRefused) {
  RULE("WAIT-1");
  initialize_events(m);
  m.on(0, APC_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, TRUE); });
  m.on(0, DISPATCH_LEVEL, [] { KeSetEvent(&events[1], IO_NO_INCREMENT, TRUE); });
  EXPECT_BUGCHECK(0xC4, 0x80, DISPATCH_LEVEL, &events[1], 0);
}

KDPC_TEST(Semaphore, CountsReleasesAndWaits) {
  static KSEMAPHORE semaphore;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSemaphore(&semaphore, 1, 3);
    KDPC_EXPECT_EQ(poll(&semaphore), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(poll(&semaphore), STATUS_TIMEOUT);
    KDPC_EXPECT_EQ(KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 2, FALSE), 0);
    KDPC_EXPECT_EQ(KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 1, FALSE), 2);
    KDPC_EXPECT_EQ(KeReadStateSemaphore(&semaphore), 3);
    KeReleaseSemaphore(&semaphore, IO_NO_INCREMENT, 1, FALSE);
  });
  EXPECT_BUGCHECK(0x1E, 0xC0000047u, &semaphore, 3, 1);  // STATUS_SEMAPHORE_LIMIT_EXCEEDED, unhandled
}

// -- WAIT-2: waking a thread from a DPC -----------------------------------------------------------------------------------------------------

VOID NTAPI set_first_event(PKDPC, PVOID, PVOID, PVOID) {
  note('1');
  KDPC_EXPECT_EQ(KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE), 0);
  note('2');
}

KDPC_TEST(WakeFromDpc, TheThreadRunsAfterTheWholeDrain) {
  RULE("WAIT-2");
  static KDPC first, second;
  initialize_events(m);
  waiter(m, 0, 20, events[0], 'T');
  m.forget_events();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&first, set_first_event, nullptr);
    KeInitializeDpc(&second, note_in_dpc, const_cast<char*>("3"));
    KeInsertQueueDpc(&first, nullptr, nullptr);
    KeInsertQueueDpc(&second, nullptr, nullptr);
    note('0');
  });
  EXPECT_TRUE(m.run_until([] { return steps == 5; }, 1s));
  EXPECT_STREQ(order, "0123T");
  // While a drain runs no further DISPATCH interrupt is asked for: it finds NextThread itself when it ends.
  const auto began = m.events("activity-began", {{"object", m.address_of(&first)}}).at(0).time;
  const auto ended = m.events("activity-ended", {{"object", m.address_of(&second)}}).at(0).time;
  for (const auto& request : m.events("drain-requested")) EXPECT_FALSE(request.time > began && request.time < ended);
}

// -- WAIT-3: waiting at Dispatch ------------------------------------------------------------------------------------------------------------

KDPC dpc;
PKTHREAD borrowed;
volatile int dpc_runs = 0;

void insert_dpc(PKDEFERRED_ROUTINE routine) {
  KeInitializeDpc(&dpc, routine, nullptr);
  borrowed = KeGetCurrentThread();
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
}

VOID NTAPI poll_in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT);
  KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
  KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);
  KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT);   // a satisfied poll has its side effect
  dpc_runs = dpc_runs + 1;
}

KDPC_TEST(WaitAtDispatch, WithATimeoutOfZeroOnlyPolls) {
  RULE("WAIT-3");
  RULE("V-11");
  initialize_events(m);
  dpc_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] { insert_dpc(poll_in_dpc); });
  EXPECT_EQ(dpc_runs, 1);
  m.on(0, DISPATCH_LEVEL, [] { KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT); });
  EXPECT_NO_FINDINGS();
}

VOID NTAPI wait_in_dpc(PKDPC, PVOID, PVOID, PVOID) { wait_for(&events[0]); }
VOID NTAPI wait_a_moment_in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  LARGE_INTEGER moment = hundreds_of_ns(-1);
  KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &moment);
}
VOID NTAPI wait_for_a_set_event_in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
  KDPC_EXPECT_EQ(wait_for(&events[0]), STATUS_SUCCESS);
  dpc_runs = dpc_runs + 1;
}

void expect_switch_from_dpc() {
  EXPECT_BUGCHECK(0xB8, borrowed, kdpc::processor(0).idle_thread, reinterpret_cast<kdpc::Thread*>(borrowed)->machine.stack_high, 0);
}

KDPC_TEST(WaitAtDispatch, ForEverInADpcIsAnAttemptedSwitch) {
  RULE("WAIT-3");
  RULE("V-11");
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] { insert_dpc(wait_in_dpc); });
  expect_switch_from_dpc();
}

KDPC_TEST(WaitAtDispatch, ForAMomentInADpcIsAnAttemptedSwitch) {
  RULE("WAIT-3");
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] { insert_dpc(wait_a_moment_in_dpc); });
  expect_switch_from_dpc();
}

KDPC_TEST(WaitAtDispatch, IsRefusedAtEntryEvenIfItWouldNotBlock) {
  RULE("WAIT-3");
  initialize_events(m);
  dpc_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] { insert_dpc(wait_for_a_set_event_in_dpc); });
  EXPECT_EQ(dpc_runs, 0);
  expect_switch_from_dpc();
}

KDPC_TEST(WaitAtDispatch, IsRefusedOnlyWhenItBlocksByOption, .options = {{"wait_check", "late"}}) {
  RULE("WAIT-3");
  initialize_events(m);
  dpc_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] { insert_dpc(wait_for_a_set_event_in_dpc); });
  EXPECT_EQ(dpc_runs, 1);
  EXPECT_NO_FINDINGS();
  m.on(0, PASSIVE_LEVEL, [] { insert_dpc(wait_in_dpc); });
  expect_switch_from_dpc();
}

KDPC_TEST(WaitAtDispatch, InAThreadForEverIs121) {
  RULE("WAIT-3");
  initialize_events(m);
  m.on(0, DISPATCH_LEVEL, [] { wait_for(&events[0]); });
  EXPECT_BUGCHECK(0xC4, 0x121, DISPATCH_LEVEL, &events[0], 0);
}

KDPC_TEST(WaitAtDispatch, InAThreadForAMomentIs122) {
  RULE("WAIT-3");
  initialize_events(m);
  m.on(0, DISPATCH_LEVEL, [] {
    LARGE_INTEGER moment = hundreds_of_ns(-1);
    KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &moment);
  });
  EXPECT_BUGCHECK(0xC4, 0x122, DISPATCH_LEVEL, &events[0]);
}

KDPC_TEST(WaitAboveDispatch, Is120EvenWithATimeoutOfZero) {
  RULE("WAIT-3");
  initialize_events(m);
  m.on(0, DISPATCH_LEVEL + 1, [] { poll(&events[0]); });
  EXPECT_BUGCHECK(0xC4, 0x120, DISPATCH_LEVEL + 1, &events[0]);
}

KDPC_TEST(WaitAtDispatch, OnACheckedBuildIsAnAssertion, .options = {{"irql_checks", "checked"}}) {
  RULE("WAIT-3");
  initialize_events(m);
  m.on(0, DISPATCH_LEVEL, [] { wait_for(&events[0]); });
  EXPECT_BUGCHECK(0x1E, 0xC0000420u);  // STATUS_ASSERTION_FAILURE, unhandled
}

KDPC_TEST(WaitAtDispatch, OnAFreeBuildBlocksAndOthersRunAtTheirOwnLevel, .options = {{"irql_checks", "free"}}) {
  RULE("WAIT-3");
  initialize_events(m);
  auto blocked = m.start(0, DISPATCH_LEVEL, [] {
    note('1');
    KDPC_EXPECT_EQ(wait_for(&events[0]), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
    note('3');
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    note('2');
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
  });
  EXPECT_TRUE(m.run_until([&] { return blocked.done(); }, 1s));
  EXPECT_STREQ(order, "123");
}

KSPIN_LOCK lock;

KDPC_TEST(WaitAtDispatch, OnAFreeBuildWithASpinLockHeldMakesOthersSpinIntoTheWatchdog, .processors = 2,
          .options = {{"irql_checks", "free"}, {"dpc_watchdog_period", "10"}}) {
  RULE("WAIT-3");
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeSpinLock(&lock); });
  m.start(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
    wait_for(&events[0]);
  });
  m.run_for(1ms);
  m.start(1, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeAcquireSpinLock(&lock, &old);
  });
  m.run_for(1s);
  EXPECT_BUGCHECK(0x133, 1, 10, 0, 0);
  EXPECT_EQ(m.outcome().bugcheck->processor, 1u);
}

// -- WAIT-4, WAIT-5: results and delays -----------------------------------------------------------------------------------------------------

KDPC_TEST(WaitResult, SaysWhyItEndedAndEveryReasonIsASuccess) {
  RULE("WAIT-4");
  initialize_events(m);
  EXPECT_EQ(STATUS_SUCCESS, 0);
  EXPECT_EQ(STATUS_WAIT_0, 0);
  EXPECT_EQ(STATUS_TIMEOUT, 0x102);
  EXPECT_EQ(STATUS_ALERTED, 0x101);
  EXPECT_EQ(STATUS_USER_APC, 0xC0);
  EXPECT_TRUE(NT_SUCCESS(STATUS_TIMEOUT) && NT_SUCCESS(STATUS_ALERTED) && NT_SUCCESS(STATUS_USER_APC));
  m.on(0, PASSIVE_LEVEL, [] {
    LARGE_INTEGER limit = in_ms(20);
    const ULONGLONG before = KeQueryInterruptTime();
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &limit), STATUS_TIMEOUT);
    KDPC_EXPECT(KeQueryInterruptTime() - before >= 200'000);
    limit = hundreds_of_ns(static_cast<LONGLONG>(system_time() + 200'000));   // absolute
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &limit), STATUS_TIMEOUT);
    KDPC_EXPECT(KeQueryInterruptTime() - before >= 400'000);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &limit), STATUS_SUCCESS);
  });
}

KDPC_TEST(WaitResult, OfAWaitThatWasSatisfiedInTimeLeavesNoTimerBehind) {
  RULE("WAIT-4");
  initialize_events(m);
  auto waiting = m.start(0, PASSIVE_LEVEL, [] {
    LARGE_INTEGER limit = in_ms(100);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &limit), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(wait_for(&events[1]), STATUS_SUCCESS);   // and the time limit of the first wait must not end this one
    note('2');
  });
  m.run_for(20ms);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  m.run_for(200ms);
  EXPECT_STREQ(order, "");
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, 1s));
}

KDPC_TEST(Delay, SucceedsAndNeverReturnsEarly) {
  RULE("WAIT-5");
  m.on(0, APC_LEVEL, [] {
    for (LONGLONG microseconds = 10; microseconds < 40'000; microseconds = microseconds * 5 / 3) {
      LARGE_INTEGER interval = hundreds_of_ns(-10 * microseconds);
      KeStallExecutionProcessor(1234);   // so that it begins at all places between two ticks
      const ULONGLONG before = performance_count();
      KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
      const ULONGLONG elapsed = performance_count() - before;
      KDPC_EXPECT(elapsed >= static_cast<ULONGLONG>(10 * microseconds), elapsed, microseconds);
      KDPC_EXPECT(elapsed < static_cast<ULONGLONG>(10 * microseconds) + 2 * kTick, elapsed, microseconds);
    }
  });
}

KDPC_TEST(Delay, AboveApcLevelIsRefused) {
  RULE("WAIT-5");
  m.on(0, DISPATCH_LEVEL, [] {
    LARGE_INTEGER interval = in_ms(1);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
  });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}

// -- WAIT-6, WAIT-7: when and where a readied thread runs -----------------------------------------------------------------------------------

KDPC_TEST(Readying, AHigherThreadBelowDispatchTakesTheProcessorInsideTheCall) {
  RULE("WAIT-6");
  initialize_events(m);
  waiter(m, 0, 9, events[0], 'h');
  m.on(0, APC_LEVEL, [] {
    note('1');
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    note('2');
  });
  EXPECT_STREQ(order, "1h2");
}

KDPC_TEST(Readying, AHigherThreadAtDispatchWaitsForTheLevel) {
  RULE("WAIT-6");
  initialize_events(m);
  waiter(m, 0, 9, events[0], 'h');
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    note('1');
    KeLowerIrql(old);
    note('2');
  });
  EXPECT_STREQ(order, "1h2");
}

KDPC_TEST(Readying, AnEqualThreadWaitsForItsTurn) {
  RULE("WAIT-6");
  initialize_events(m);
  auto equal = waiter(m, 0, 8, events[0], 'e');
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    note('1');
  });
  EXPECT_TRUE(m.run_until([&] { return equal.done(); }, 1s));
  EXPECT_STREQ(order, "1e");
}

KDPC_TEST(Readying, AHaltedIdleProcessorIsWokenForTheThread, .processors = 2) {
  RULE("WAIT-7");
  initialize_events(m);
  auto task = waiter(m, 1, 8, events[0], 'w');
  m.run_for(1ms);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KeStallExecutionProcessor(100);
    note('1');
  });
  EXPECT_STREQ(order, "w1");
  EXPECT_EQ(m.count("ipi-sent", {{"targets", 1u << 1}}), 1u);
  EXPECT_EQ(m.events("thread-readied").at(1)["processor"], 1u);  // the first is the lambda's own thread
}

// A thread that may run anywhere, as PsCreateSystemThread makes them.
ULONG ran_on;
VOID NTAPI anywhere(PVOID) {
  wait_for(&events[0]);
  ran_on = KeGetCurrentProcessorNumber();
  note('a');
  PsTerminateSystemThread(STATUS_SUCCESS);
}

KDPC_TEST(Readying, AnIdleProcessorIsPreferredToABusyOne, .processors = 3) {
  RULE("WAIT-7");
  for (unsigned idle = 0; idle < 3; ++idle) {   // whatever the thread's ideal processor is
    initialize_events(m);
    m.on(idle, PASSIVE_LEVEL, [] {
      HANDLE handle;
      PsCreateSystemThread(&handle, 0, nullptr, nullptr, nullptr, anywhere, nullptr);
      ZwClose(handle);
    });
    m.run_for(1ms);
    kdpc::lab::Task busy[2];
    int index = 0;
    for (unsigned processor = 0; processor < 3; ++processor)
      if (processor != idle) busy[index++] = m.start(processor, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(10'000); });
    m.run_for(1ms);
    m.start((idle + 1) % 3, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); }, {.priority = 9});
    EXPECT_TRUE(m.run_until([] { return steps == 1; }, 5ms)) << idle;
    EXPECT_EQ(ran_on, idle);
    EXPECT_TRUE(m.run_until([&] { return busy[0].done() && busy[1].done(); }, 1s));
  }
}

KDPC_TEST(Readying, ABusyProcessorIsPreemptedThroughAnIpi, .processors = 2) {
  RULE("WAIT-7");
  initialize_events(m);
  waiter(m, 1, 9, events[0], 'h');
  auto busy = m.start(1, PASSIVE_LEVEL, [] {
    KeStallExecutionProcessor(10'000);
    note('b');
  });
  m.run_for(1ms);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 1ms));
  EXPECT_STREQ(order, "h");
  EXPECT_EQ(m.count("ipi-sent", {{"targets", 1u << 1}}), 1u);
  EXPECT_EQ(m.events("thread-switched", {{"why", kPreempted}}).at(0).processor, 1u);
  EXPECT_TRUE(m.run_until([&] { return busy.done(); }, 1s));
  EXPECT_STREQ(order, "hb");
}

KDPC_TEST(Readying, ALowerOrEqualThreadOnABusyProcessorSendsNoIpi, .processors = 2) {
  RULE("WAIT-7");
  initialize_events(m);
  waiter(m, 1, 8, events[0], 'e');
  auto busy = m.start(1, PASSIVE_LEVEL, [] {
    KeStallExecutionProcessor(5'000);
    note('b');
  });
  m.run_for(1ms);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_EQ(m.count("ipi-sent", {{"targets", 1u << 1}}), 0u);
  EXPECT_TRUE(m.run_until([] { return steps == 2; }, 1s));
  EXPECT_STREQ(order, "be");
}

KDPC_TEST(Readying, ADisplacedNextThreadGoesToTheHeadOfItsList) {
  RULE("WAIT-7");
  initialize_events(m);
  waiter(m, 0, 10, events[0], 'm');
  waiter(m, 0, 10, events[1], 'n');
  waiter(m, 0, 12, events[2], 'h');
  m.on(0, DISPATCH_LEVEL, [] {
    for (int index = 0; index < 3; ++index) KeSetEvent(&events[index], IO_NO_INCREMENT, FALSE);
  });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, 1s));
  EXPECT_STREQ(order, "hmn");
}

KDPC_TEST(Readying, APreemptedThreadGoesToTheHeadOfItsListOthersToTheTail) {
  RULE("WAIT-7");
  initialize_events(m);
  waiter(m, 0, 8, events[0], 'b');
  waiter(m, 0, 8, events[1], 'c');
  waiter(m, 0, 12, events[2], 'h');
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
    note('a');
    KeSetEvent(&events[2], IO_NO_INCREMENT, FALSE);
    note('a');
  });
  EXPECT_TRUE(m.run_until([] { return steps == 5; }, 1s));
  EXPECT_STREQ(order, "ahabc");
}

// -- BOOST-1 --------------------------------------------------------------------------------------------------------------------------------

KPRIORITY priority_now() { return KeQueryPriorityThread(KeGetCurrentThread()); }

// The priority with which a thread of this base comes out of a wait that ended with this increment.
KPRIORITY priority_after(kdpc::lab::Machine& m, unsigned base, KPRIORITY increment) {
  static KPRIORITY result;
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&events[0]);
    result = priority_now();
  }, {.priority = base});
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [increment] { KeSetEvent(&events[0], increment, FALSE); });
  m.run_until([&] { return task.done(); }, 1s);
  return result;
}

KDPC_TEST(Boost, IsTheBasePlusTheIncrementAndAtMost15) {
  RULE("BOOST-1");
  EXPECT_EQ(priority_after(m, 8, 0), 8);
  EXPECT_EQ(priority_after(m, 8, 1), 9);
  EXPECT_EQ(priority_after(m, 8, 6), 14);
  EXPECT_EQ(priority_after(m, 13, 6), 15);
}

KDPC_TEST(Boost, IsNotGivenToABaseOf14OrMoreNorToRealTimeThreads) {
  RULE("BOOST-1");
  for (unsigned base = 14; base <= 31; ++base) EXPECT_EQ(priority_after(m, base, 6), static_cast<KPRIORITY>(base));
}

KDPC_TEST(Boost, DecaysOneStepWithEachQuantum) {
  RULE("BOOST-1");
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&events[0]);
    for (const KPRIORITY expected : {11, 10, 9, 8, 8}) {
      KDPC_EXPECT_EQ(priority_now(), expected);
      KeStallExecutionProcessor(2 * 15'625);   // a quantum is two ticks
    }
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 3, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, 1s));
}

KDPC_TEST(Boost, IsNotGivenByATimer) {
  RULE("BOOST-1");
  m.on(0, PASSIVE_LEVEL, [] {
    LARGE_INTEGER interval = in_ms(20);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    KDPC_EXPECT_EQ(priority_now(), 8);
  });
}

// -- V-10 and RET-1: quantum end and a next thread in one DISPATCH interrupt ----------------------------------------------------------------

struct Seen {
  ULONG_PTR low_thread, high_thread;
  KPRIORITY before, after;
} seen;

// A boosted thread stays at Dispatch for `stalls` milliseconds with a DPC queued and a higher thread readied, then lowers.
void one_dispatch_interrupt(kdpc::lab::Machine& m, ULONG milliseconds) {
  static KDPC queued;
  initialize_events(m);
  auto high = m.start(0, PASSIVE_LEVEL, [] {
    seen.high_thread = reinterpret_cast<ULONG_PTR>(PsGetCurrentThreadId());
    wait_for(&events[1]);
    note('h');
  }, {.priority = 14});
  auto low = m.start(0, PASSIVE_LEVEL, [milliseconds] {
    seen.low_thread = reinterpret_cast<ULONG_PTR>(PsGetCurrentThreadId());
    wait_for(&events[0]);
    seen.before = priority_now();
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeInitializeDpc(&queued, note_in_dpc, const_cast<char*>("d"));
    KeInsertQueueDpc(&queued, nullptr, nullptr);
    KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
    KeStallExecutionProcessor(milliseconds * 1000);
    note('l');
    KeLowerIrql(old);
    note('L');
    seen.after = priority_now();
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 3, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return low.done() && high.done(); }, 1s));
  EXPECT_STREQ(order, "ldhL");
}

KDPC_TEST(DispatchInterrupt, DoesAllDpcsThenTheQuantumEndAndThatTakesTheNextThread) {
  RULE("V-10");
  RULE("RET-1");
  one_dispatch_interrupt(m, 40);
  EXPECT_EQ(seen.before, 11);
  EXPECT_EQ(seen.after, 10);          // the quantum end came first: one step of decay
  EXPECT_EQ(m.count("thread-switched", {{"from", seen.low_thread}, {"to", seen.high_thread}, {"why", kQuantumEnd}}), 1u);
  EXPECT_EQ(m.count("thread-switched", {{"from", seen.low_thread}, {"to", seen.high_thread}, {"why", kPreempted}}), 0u);
}

KDPC_TEST(DispatchInterrupt, WithoutAQuantumEndSwitchesToTheNextThread) {
  RULE("RET-1");
  one_dispatch_interrupt(m, 1);
  EXPECT_EQ(seen.after, seen.before);
  EXPECT_EQ(m.count("thread-switched", {{"from", seen.low_thread}, {"to", seen.high_thread}, {"why", kPreempted}}), 1u);
}

KDPC_TEST(Wait, AnAbsoluteTimeThatHasComeEndsAWaitAtOnce) {
  RULE("TIM-2");
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] {
    const auto precise = [] {
      ULONG64 counter;
      return KeQueryInterruptTimePrecise(&counter);
    };
    const ULONGLONG before = precise();
    LARGE_INTEGER past = hundreds_of_ns(1);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &past), STATUS_TIMEOUT);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &past), STATUS_SUCCESS);
    KDPC_EXPECT(precise() - before < 1000, precise() - before);
  });
}

KDPC_TEST(Wait, WaitingForSomethingThatIsNoDispatcherObjectIsAFinding) {
  static KDPC no_object;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&no_object, note_in_dpc, nullptr);
    wait_for(&no_object);
  });
  EXPECT_BUGCHECK(0x1E, 0xC0000024, &no_object, 19);
}

BOOLEAN NTAPI wait_in_isr(PKINTERRUPT, PVOID) {
  wait_for(&events[0]);
  return TRUE;
}

KDPC_TEST(Wait, AnIsrThatReallyBlocksIsAFinding, .options = {{"wait_check", "late"}}) {
  RULE("RET-10");
  static PKINTERRUPT interrupt;
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&interrupt, wait_in_isr, nullptr, nullptr, 0x51, 5, 5, Latched, FALSE, 1, FALSE); });
  m.send_message(0x51, 0);
  m.run_for(1ms);
  EXPECT_BUGCHECK(0xB8);
}

KDPC_TEST(Quantum, StaysUsedUpHoweverLongTheThreadCannotBePreempted) {
  reset();
  const auto long_one = m.start(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (int ticks = 0; ticks < 47; ++ticks) KeStallExecutionProcessor(15625);   // 47 × 3 units: more than a signed byte holds
    KeLowerIrql(old);
    note('a');
  });
  m.run_for(20ms);
  const auto other = m.start(0, PASSIVE_LEVEL, [] { note('b'); });
  m.run_until([&] { return long_one.done() && other.done(); }, 3s);
  EXPECT_STREQ(order, "ba");
}

}  // namespace
