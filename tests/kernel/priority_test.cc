// Priorities that are set, bases, boosts of every kind, yielding, and where a thread likes to run: BOOST-1, WAIT-5, WAIT-7, SEMANTICS 6.4.
#include <wdm.h>

#include <chrono>
#include <cstring>

#include "kdpc/test.h"
#include "tests/io/host_driver.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

KPRIORITY priority_now() { return KeQueryPriorityThread(KeGetCurrentThread()); }
void use_up_a_quantum() { KeStallExecutionProcessor(2 * 15'625); }

// -- the priority that is set, and the base -------------------------------------------------------------------------------------------------

KDPC_TEST(SetPriority, AboveTheBaseDecaysWithEachQuantum, .simulated_only = "counts ticks") {
  RULE("BOOST-1");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeSetPriorityThread(KeGetCurrentThread(), 11), 8);
    for (const KPRIORITY expected : {11, 10, 9, 8, 8}) {
      KDPC_EXPECT_EQ(priority_now(), expected);
      use_up_a_quantum();
    }
  });
}

KDPC_TEST(SetPriority, BelowTheBaseLastsForOneQuantum, .simulated_only = "counts ticks") {
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetPriorityThread(KeGetCurrentThread(), 3);
    KDPC_EXPECT_EQ(priority_now(), 3);
    use_up_a_quantum();
    KDPC_EXPECT_EQ(priority_now(), 8);
  });
}

KDPC_TEST(SetPriority, OfARealTimeThreadStays) {
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetPriorityThread(KeGetCurrentThread(), LOW_REALTIME_PRIORITY);
    use_up_a_quantum();
    use_up_a_quantum();
    KDPC_EXPECT_EQ(priority_now(), LOW_REALTIME_PRIORITY);
  });
}

KDPC_TEST(BasePriority, IsTheProcessesPlusAnIncrementWithinTheVariablePriorities) {
  m.on(0, PASSIVE_LEVEL, [] {
    PKTHREAD self = KeGetCurrentThread();
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, 2), 0);
    KDPC_EXPECT_EQ(priority_now(), 10);
    use_up_a_quantum();
    KDPC_EXPECT_EQ(priority_now(), 10);  // it is the base: nothing decays
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, -3), 2);
    KDPC_EXPECT_EQ(priority_now(), 5);
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, 12), -3);
    KDPC_EXPECT_EQ(priority_now(), 15);
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, -12), 7);
    KDPC_EXPECT_EQ(priority_now(), 1);
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, 16), -7);
    KDPC_EXPECT_EQ(priority_now(), 15);
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, -16), 16);  // saturated: as it was asked for
    KDPC_EXPECT_EQ(priority_now(), 1);
    KDPC_EXPECT_EQ(KeSetBasePriorityThread(self, 0), -16);
    KDPC_EXPECT_EQ(priority_now(), 8);
  });
}

KDPC_TEST(BasePriority, MovesWhatABoostHasAddedAlong, .simulated_only = "counts on no quantum's end in between") {
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&events[0]);
    KDPC_EXPECT_EQ(priority_now(), 11);
    KeSetBasePriorityThread(KeGetCurrentThread(), 1);
    KDPC_EXPECT_EQ(priority_now(), 12);
  });
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 3, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
}

// -- a thread that is to run next and is made lower -----------------------------------------------------------------------------------------

PKTHREAD waiting_thread;

void start_waiters(kdpc::lab::Machine& m) {
  initialize_events(m);
  m.start(0, PASSIVE_LEVEL,
          [] {
            waiting_thread = KeGetCurrentThread();
            wait_for(&events[0]);
            note('a');
          },
          {.priority = 12});
  let_rest(m);
  waiter(m, 0, 10, events[1], 'b');
}

// A thread of priority 8 readies the one of 12, and perhaps the one of 10 too, makes the first `priority`, and lowers.
void make_lower(kdpc::lab::Machine& m, KPRIORITY priority, bool both) {
  start_waiters(m);
  m.on(0, PASSIVE_LEVEL, [priority, both] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    if (both) KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
    KeSetPriorityThread(waiting_thread, priority);
    note('d');
    KeLowerIrql(old);
    note('1');
  });
  EXPECT_TRUE(m.run_until([both] { return steps == (both ? 4 : 3); }, within(1s)));
}

KDPC_TEST(StandbyThread, MadeLowerThanAReadyOneIsDisplaced) {
  RULE("WAIT-7");
  make_lower(m, 9, true);
  EXPECT_STREQ(order, "dba1");
}

KDPC_TEST(StandbyThread, MadeLowerThanTheRunningOneLetsItRun) {
  RULE("WAIT-7");
  make_lower(m, 7, false);
  EXPECT_STREQ(order, "d1a");
}

KDPC_TEST(StandbyThread, MadeLowerButStillTheBestRunsNext) {
  RULE("WAIT-7");
  make_lower(m, 11, true);
  EXPECT_STREQ(order, "dab1");
}

// -- increments -----------------------------------------------------------------------------------------------------------------------------

KSEMAPHORE semaphore;

KDPC_TEST(Boost, IsGivenByASemaphoreToAllItReleases, .simulated_only = "counts on no quantum's end in between") {
  RULE("BOOST-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeSemaphore(&semaphore, 0, 5); });
  for (int count = 0; count < 2; ++count) {
    m.start(0, PASSIVE_LEVEL, [] {
      wait_for(&semaphore);
      KDPC_EXPECT_EQ(priority_now(), 10);
      note('s');
    });
    let_rest(m);
  }
  m.on(0, PASSIVE_LEVEL, [] { KeReleaseSemaphore(&semaphore, 2, 2, FALSE); });
  EXPECT_TRUE(m.run_until([] { return steps == 2; }, within(1s)));
}

PIRP pending_irp;
NTSTATUS NTAPI keep_pending(PDEVICE_OBJECT, PIRP irp) {
  IoMarkIrpPending(irp);
  pending_irp = irp;
  return STATUS_PENDING;
}

KDPC_TEST(Boost, IsGivenByTheCompletionOfAnIrp, .simulated_only = "counts on no quantum's end in between") {
  RULE("BOOST-1");
  static DEVICE_OBJECT* device;
  initialize_events(m);
  m.on(0, PASSIVE_LEVEL, [] {
    kdpc::io::Driver& driver = make_driver();
    driver.object.MajorFunction[IRP_MJ_DEVICE_CONTROL] = keep_pending;
    device = make_device(driver);
  });
  auto task = m.start(0, PASSIVE_LEVEL,
                      [] {
                        IO_STATUS_BLOCK result;
                        PIRP irp = IoBuildDeviceIoControlRequest(1, device, nullptr, 0, nullptr, 0, FALSE, &events[0], &result);
                        KDPC_EXPECT_EQ(IoCallDriver(device, irp), STATUS_PENDING);
                        wait_for(&events[0]);
                        KDPC_EXPECT_EQ(priority_now(), 5 + 8);
                      },
                      {.priority = 5});
  let_rest(m);
  constexpr CCHAR kSoundIncrement = 8;
  m.on(0, PASSIVE_LEVEL, [] { finish(pending_irp, STATUS_SUCCESS, 0, kSoundIncrement); });
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
}

KDPC_TEST(Boost, OfAThreadThatHasAHigherOneAlreadyIsNotLowered, .simulated_only = "counts on no quantum's end in between") {
  RULE("BOOST-1");
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&events[0]);
    KDPC_EXPECT_EQ(priority_now(), 13);
    wait_for(&events[1]);
    KDPC_EXPECT_EQ(priority_now(), 13);
  });
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 5, FALSE); });
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[1], 1, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
}

// Each wait costs one unit of quantum, six are one quantum, and an increment renews it.
KDPC_TEST(Boost, AThreadThatOnlyWaitsUsesUpItsQuantumToo, .simulated_only = "counts units of a quantum") {
  RULE("BOOST-1");
  static KPRIORITY seen[8];
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    for (KPRIORITY& one : seen) {
      wait_for(&events[0]);
      one = priority_now();
    }
  });
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 3, FALSE); });  // renewed, less one: five are left
  for (int count = 0; count < 7; ++count) m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
  const KPRIORITY expected[8] = {11, 11, 11, 11, 11, 10, 10, 10};
  for (int index = 0; index < 8; ++index) EXPECT_EQ(seen[index], expected[index]) << index;
}

// A thread uses one tick of its quantum's two, is woken, and then runs until an equal one has its turn. How many ticks was that?
ULONGLONG ticks_after_waking(kdpc::lab::Machine& m, unsigned priority) {
  static ULONGLONG woken, other_ran;
  other_ran = 0;
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL,
                      [] {
                        for (const ULONGLONG before = tick_count(); tick_count() == before;) KeStallExecutionProcessor(100);
                        wait_for(&events[0]);
                        woken = tick_count();
                        while (other_ran == 0) KeStallExecutionProcessor(100);
                      },
                      {.priority = priority});
  m.run_for(20ms);
  auto other = m.start(0, PASSIVE_LEVEL,
                       [] {
                         wait_for(&events[1]);
                         other_ran = tick_count();
                       },
                       {.priority = priority});
  m.run_for(1ms);
  m.on(0, DISPATCH_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
  });
  EXPECT_TRUE(m.run_until([&] { return task.done() && other.done(); }, within(1s)));
  return other_ran - woken;
}

KDPC_TEST(Boost, BelowABaseOf14WakingDoesNotRenewTheQuantum, .simulated_only = "counts ticks") {
  RULE("BOOST-1");
  for (const unsigned base : {4u, 8u, 13u}) EXPECT_EQ(ticks_after_waking(m, base), 1u) << base;
}

KDPC_TEST(Boost, FromABaseOf14OnWakingRenewsTheQuantum, .simulated_only = "counts ticks") {
  RULE("BOOST-1");
  for (const unsigned base : {14u, 15u, 16u, 24u}) EXPECT_EQ(ticks_after_waking(m, base), 2u) << base;
}

// -- yielding -------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Yield, LetsAnEqualOrLowerThreadRunAndSaysWhetherOneDid, .simulated_only = "asks for a state that lasts for a millisecond") {
  RULE("WAIT-5");
  for (const unsigned priority : {8, 4}) {
    reset();
    m.start(0, PASSIVE_LEVEL, [] {
      KDPC_EXPECT_EQ(ZwYieldExecution(), STATUS_NO_YIELD_PERFORMED);
      KeStallExecutionProcessor(1000);
      note('1');
      KDPC_EXPECT_EQ(ZwYieldExecution(), STATUS_SUCCESS);
      note('3');
    });
    m.run_for(100us);
    m.start(0, PASSIVE_LEVEL, [] { note('2'); }, {.priority = priority});
    EXPECT_TRUE(m.run_until([] { return steps == 3; }, within(1s)));
    EXPECT_STREQ(order, "123");
  }
}

KDPC_TEST(Delay, OfZeroIsAYieldAndSucceedsEvenIfNobodyIsThere, .simulated_only = "asks for a state that lasts for a millisecond") {
  RULE("WAIT-5");
  reset();
  m.start(0, PASSIVE_LEVEL, [] {
    LARGE_INTEGER zero = hundreds_of_ns(0);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &zero), STATUS_SUCCESS);
    KeStallExecutionProcessor(1000);
    note('1');
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, FALSE, &zero), STATUS_SUCCESS);
    note('3');
  });
  m.run_for(100us);
  m.start(0, PASSIVE_LEVEL, [] { note('2'); });
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, within(1s)));
  EXPECT_STREQ(order, "123");
}

KDPC_TEST(Yield, WhileAnotherProcessorIsIdleGoesOnThere, .processors = 2, .simulated_only = "asks for a state that lasts for two milliseconds") {
  static ULONG before, after;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE handle;
    static const auto body = [](PVOID) NTAPI {
      before = KeGetCurrentProcessorNumberEx(nullptr);
      KeStallExecutionProcessor(2000);
      ZwYieldExecution();
      after = KeGetCurrentProcessorNumberEx(nullptr);
      note('y');
    };
    PsCreateSystemThread(&handle, 0, nullptr, nullptr, nullptr, body, nullptr);
    ZwClose(handle);
  });
  m.run_for(100us);
  m.start(before, PASSIVE_LEVEL, [] { KeStallExecutionProcessor(10'000); }, {.priority = 4});
  EXPECT_TRUE(m.run_until([] { return steps == 1; }, 8ms));
  EXPECT_NE(before, after);
}

// -- where a thread likes to run, and for how long it has -----------------------------------------------------------------------------------

KDPC_TEST(IdealProcessor, IsWhereAThreadIsReadiedFirst, .processors = 4, .simulated_only = "counts on all processors being idle") {
  RULE("WAIT-7");
  static PKTHREAD thread;
  static ULONG ran_on;
  for (UCHAR ideal = 0; ideal < 4; ++ideal) {
    initialize_events(m);
    m.on(0, PASSIVE_LEVEL, [] {
      HANDLE handle;
      static const auto body = [](PVOID) NTAPI {
        thread = KeGetCurrentThread();
        wait_for(&events[0]);
        ran_on = KeGetCurrentProcessorNumberEx(nullptr);
        note('i');
      };
      PsCreateSystemThread(&handle, 0, nullptr, nullptr, nullptr, body, nullptr);
      ZwClose(handle);
    });
    m.run_for(1ms);
    m.on(0, PASSIVE_LEVEL, [ideal] {
      KeSetIdealProcessorThread(thread, ideal);
      KDPC_EXPECT_EQ(KeSetIdealProcessorThread(thread, 77), ideal);  // there is no such processor
      KDPC_EXPECT_EQ(KeSetIdealProcessorThread(thread, ideal), ideal);
    });
    m.run_for(1ms);
    m.on((ideal + 1) % 4, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
    EXPECT_TRUE(m.run_until([] { return steps == 1; }, within(1s)));
    EXPECT_EQ(ran_on, ideal);
  }
}

KDPC_TEST(RunTime, IsCountedInTicks, .simulated_only = "counts ticks") {
  m.on(0, PASSIVE_LEVEL, [] {
    ULONG user = 7;
    const ULONG before = KeQueryRuntimeThread(KeGetCurrentThread(), &user);
    KeStallExecutionProcessor(5 * 15'625);
    KDPC_EXPECT_EQ(KeQueryRuntimeThread(KeGetCurrentThread(), &user) - before, 5u);
    KDPC_EXPECT_EQ(user, 0u);
  });
}

// -- more stack -----------------------------------------------------------------------------------------------------------------------------

VOID NTAPI on_large_stack(PVOID Parameter) { note(*static_cast<const char*>(Parameter)); }
int deepest = 0;
NTSTATUS innermost_answer;
VOID NTAPI use_much_stack(PVOID) {
  volatile char used[6 * 1024];
  used[0] = 0;
  ++deepest;
  const NTSTATUS answer = KeExpandKernelStackAndCallout(use_much_stack, nullptr, 8 * 1024);
  if (answer != STATUS_SUCCESS) innermost_answer = answer;
}
VOID NTAPI stay_high(PVOID) {
  KIRQL old;
  KeRaiseIrql(APC_LEVEL, &old);
}

KDPC_TEST(ExpandedStack, CallsTheRoutineOrSaysThatThereIsNotSoMuch) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(KeExpandKernelStackAndCallout(on_large_stack, const_cast<char*>("x"), 16 * 1024), STATUS_SUCCESS);
    deepest = 0;
    KDPC_EXPECT_EQ(KeExpandKernelStackAndCallout(use_much_stack, nullptr, 8 * 1024), STATUS_SUCCESS);
    KDPC_EXPECT(deepest > 1);  // and the deepest had no room for another
    KDPC_EXPECT_EQ(innermost_answer, STATUS_NO_MEMORY);
    KDPC_EXPECT_EQ(KeExpandKernelStackAndCallout(on_large_stack, const_cast<char*>("z"), MAXIMUM_EXPANSION_SIZE + 1), STATUS_INVALID_PARAMETER_3);
  });
  EXPECT_STREQ(order, "x");
}

KDPC_TEST(ExpandedStack, ARoutineThatReturnsAtAnotherLevelIsAFinding) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] { KeExpandKernelStackAndCallout(stay_high, &semaphore, 1024); });
  EXPECT_BUGCHECK(0xC8, APC_LEVEL << 16 | 2, stay_high, &semaphore, 0);
}

}  // namespace
