// Events and waits: SEMANTICS 8.1.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "kernel/system.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

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
  m.on(0, APC_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, TRUE);
    KDPC_EXPECT_EQ(poll(&events[0]), STATUS_SUCCESS);
  });
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
  KDPC_EXPECT_EQ(poll(&events[0]), STATUS_TIMEOUT);  // a satisfied poll has its side effect
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
    limit = hundreds_of_ns(static_cast<LONGLONG>(system_time() + 200'000));  // absolute
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
    KDPC_EXPECT_EQ(wait_for(&events[1]), STATUS_SUCCESS);  // and the time limit of the first wait must not end this one
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
      KeStallExecutionProcessor(1234);  // so that it begins at all places between two ticks
      const ULONGLONG before = performance_count();
      KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &interval), STATUS_SUCCESS);
      const ULONGLONG elapsed = performance_count() - before;
      KDPC_EXPECT(elapsed >= static_cast<ULONGLONG>(10 * microseconds), elapsed, microseconds);
      if (kdpc::lab::is_simulated()) KDPC_EXPECT(elapsed < static_cast<ULONGLONG>(10 * microseconds) + 2 * kTick, elapsed, microseconds);
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

}  // namespace
