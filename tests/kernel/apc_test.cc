// Kernel APCs, and the waits they meet: SEMANTICS IRQL-7, IRQL-9, WAIT-4, BOOST-1.
#include <wdm.h>

#include <chrono>

#include "kdpc/test.h"
#include "tests/kernel/apcs.h"
#include "tests/kernel/at_rest.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

// -- where and when -------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(SpecialApc, ToOneselfAtPassiveRunsInsideTheCallAtApcLevel) {
  RULE("IRQL-9");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], KeGetCurrentThread());
    KDPC_EXPECT_EQ(insert(apcs[0]), TRUE);
    note('2');
    KDPC_EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    KDPC_EXPECT_EQ(ran_in, KeGetCurrentThread());
  });
  EXPECT_STREQ(order, "S2");
  EXPECT_EQ(kernel_level, APC_LEVEL);
}

KDPC_TEST(SpecialApc, AboveWaitsForTheLevelAndRunsBeforeTheLoweringReturns) {
  RULE("IRQL-9");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], KeGetCurrentThread());
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    insert(apcs[0]);
    note('1');
    KIRQL apc_level;
    KeRaiseIrql(DISPATCH_LEVEL, &apc_level);
    KeLowerIrql(apc_level);
    note('2');
    KeLowerIrql(old);
    note('3');
  });
  EXPECT_STREQ(order, "12S3");
}

KDPC_TEST(SpecialApc, IsRefusedWhileItIsQueuedAndMayQueueItselfWhileItRuns) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], KeGetCurrentThread());
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    KDPC_EXPECT_EQ(insert(apcs[0]), TRUE);
    KDPC_EXPECT_EQ(insert(apcs[0]), FALSE);
    KDPC_EXPECT_EQ(KeRemoveQueueApc(&apcs[0]), TRUE);
    KDPC_EXPECT_EQ(KeRemoveQueueApc(&apcs[0]), FALSE);
    KeLowerIrql(old);
    KDPC_EXPECT_EQ(steps, 0);
    KDPC_EXPECT_EQ(insert(apcs[0]), TRUE);
  });
  EXPECT_STREQ(order, "S");
}

KDPC_TEST(NormalApc, RunsItsKernelRoutineAtApcLevelAndThenItsNormalOneAtPassive) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    normal(apcs[0], KeGetCurrentThread());
    insert(apcs[0], "N");
    note('2');
  });
  EXPECT_STREQ(order, "Nn2");
  EXPECT_EQ(kernel_level, APC_LEVEL);
  EXPECT_EQ(normal_level, PASSIVE_LEVEL);
}

VOID NTAPI take_normal_away(PKAPC, PKNORMAL_ROUTINE* NormalRoutine, PVOID*, PVOID*, PVOID*) {
  note('K');
  *NormalRoutine = nullptr;
}

KDPC_TEST(NormalApc, ItsKernelRoutineMayTakeTheNormalOneAway) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeApc(&apcs[0], KeGetCurrentThread(), OriginalApcEnvironment, take_normal_away, nullptr, normal_routine, KernelMode,
                    const_cast<char*>("n"));
    insert(apcs[0]);
  });
  EXPECT_STREQ(order, "K");
}

KDPC_TEST(Apcs, SpecialOnesRunBeforeNormalOnesAndEachKindInItsOrder) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    PKTHREAD self = KeGetCurrentThread();
    KIRQL old;
    KeRaiseIrql(APC_LEVEL, &old);
    normal(apcs[0], self, "a");
    normal(apcs[1], self, "b");
    special(apcs[2], self);
    special(apcs[3], self);
    insert(apcs[0], "A");
    insert(apcs[1], "B");
    insert(apcs[2], "1");
    insert(apcs[3], "2");
    KeLowerIrql(old);
  });
  EXPECT_STREQ(order, "12AaBb");
}

VOID NTAPI normal_that_queues(PVOID, PVOID, PVOID) {
  note('(');
  special(apcs[1], KeGetCurrentThread());
  normal(apcs[2], KeGetCurrentThread(), "n");
  insert(apcs[2], "N");  // waits until this one is over
  insert(apcs[1]);
  note(')');
}

KDPC_TEST(NormalApc, IsInterruptedBySpecialOnesButNotByNormalOnes) {
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    normal(apcs[0], KeGetCurrentThread(), "x", normal_that_queues);
    insert(apcs[0], "K");
  });
  EXPECT_STREQ(order, "K(S)Nn");
}

// -- to another thread ----------------------------------------------------------------------------------------------------------------------

NTSTATUS result;

kdpc::lab::Task start_waiting(kdpc::lab::Machine& m, unsigned processor, int limit_in_ms = 10'000) {
  initialize_events(m);
  auto task = m.start(processor, PASSIVE_LEVEL, [limit_in_ms] {
    target = KeGetCurrentThread();
    LARGE_INTEGER limit = in_ms(limit_in_ms);
    result = KeWaitForSingleObject(&events[0], Executive, KernelMode, FALSE, &limit);
    note('w');
  });
  let_rest(m, processor);
  return task;
}

KDPC_TEST(Apc, ToAThreadThatWaitsRunsInItAndTheWaitGoesOn) {
  auto waiting = start_waiting(m, 0);
  m.on(0, PASSIVE_LEVEL, [] {
    normal(apcs[0], target);
    insert(apcs[0], "N");
  });
  let_rest(m);
  EXPECT_STREQ(order, "Nn");
  EXPECT_EQ(ran_in, target);
  EXPECT_FALSE(waiting.done());
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(result, STATUS_SUCCESS);
  EXPECT_STREQ(order, "Nnw");
}

KDPC_TEST(Apc, DoesNotLengthenATimeLimit, .simulated_only = "says how long something takes") {
  auto waiting = start_waiting(m, 0, 100);
  const auto began = m.now();
  m.run_for(60ms);
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], target);
    insert(apcs[0]);
  });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(result, STATUS_TIMEOUT);
  EXPECT_LT(m.now() - began, 100'000'000 + kTickNanoseconds);
}

KDPC_TEST(Apc, ToAThreadThatWaitsAtApcLevelOrInARegionComesLater) {
  RULE("WAIT-4");
  for (const bool in_region : {false, true}) {
    initialize_events(m);
    auto waiting = m.start(0, PASSIVE_LEVEL, [in_region] {
      target = KeGetCurrentThread();
      KIRQL old = PASSIVE_LEVEL;
      if (in_region) {
        KeEnterCriticalRegion();
      } else {
        KeRaiseIrql(APC_LEVEL, &old);
      }
      wait_for(&events[0]);
      note('w');
      if (in_region) {
        KeLeaveCriticalRegion();
      } else {
        KeLowerIrql(old);
      }
    });
    let_rest(m);
    m.on(0, PASSIVE_LEVEL, [] {
      normal(apcs[0], target);
      insert(apcs[0], "N");
    });
    let_rest(m);
    EXPECT_STREQ(order, "");
    EXPECT_EQ(m.count("wait-ended", {{"status", 0x100}}), 0u);  // STATUS_KERNEL_APC: it was not even woken
    m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
    EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
    EXPECT_STREQ(order, "wNn");
  }
}

KDPC_TEST(Apc, ToAThreadThatRunsElsewhereComesByAnIpi, .processors = 2, .simulated_only = "says how soon") {
  reset();
  auto busy = m.start(1, PASSIVE_LEVEL, [] {
    target = KeGetCurrentThread();
    KeStallExecutionProcessor(10'000);
    note('b');
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], target);
    insert(apcs[0]);
  });
  m.run_for(1ms);
  EXPECT_STREQ(order, "S");
  EXPECT_EQ(ran_in, target);
  EXPECT_TRUE(m.run_until([&] { return busy.done(); }, within(1s)));
}

KDPC_TEST(Apc, ToAThreadThatIsReadyRunsWhenItRuns) {
  auto waiting = start_waiting(m, 0);
  m.on(0, PASSIVE_LEVEL,
       [] {
         KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);  // ready now, behind this thread
         special(apcs[0], target);
         insert(apcs[0]);
         note('1');
       },
       {.priority = 12});
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_STREQ(order, "1Sw");
}

VOID NTAPI insert_in_dpc(PKDPC, PVOID, PVOID, PVOID) {
  insert(apcs[0]);
  note('d');
}

KDPC_TEST(Apc, InsertedByADpcRunsAfterTheDrain) {
  static KDPC dpc;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], KeGetCurrentThread());
    KeInitializeDpc(&dpc, insert_in_dpc, nullptr);
    KeInsertQueueDpc(&dpc, nullptr, nullptr);
    note('2');
  });
  EXPECT_STREQ(order, "dS2");
}

KDPC_TEST(Apc, ToAThreadThatHasEndedIsRefused) {
  auto waiting = start_waiting(m, 0);
  m.on(0, PASSIVE_LEVEL, [] { ObReferenceObject(target); });
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], target);
    KDPC_EXPECT_EQ(insert(apcs[0]), FALSE);
    ObDereferenceObject(target);
  });
}

KDPC_TEST(Apc, GivesTheThreadItsIncrement, .simulated_only = "counts on no quantum's end in between") {
  RULE("BOOST-1");
  static KPRIORITY seen;
  auto waiting = start_waiting(m, 0, 100);
  static const auto look = [](PKAPC, PKNORMAL_ROUTINE*, PVOID*, PVOID*, PVOID*) NTAPI { seen = KeQueryPriorityThread(KeGetCurrentThread()); };
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], target, look);
    KeInsertQueueApc(&apcs[0], nullptr, nullptr, 3);
  });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  EXPECT_EQ(seen, 11);
}

// To be woken costs a unit of quantum, at the last of which a boost decays; to be woken for an APC costs none.
KDPC_TEST(Apc, TakesNoQuantumOfAThreadThatWaits, .simulated_only = "counts on no tick in between") {
  RULE("BOOST-1");
  initialize_events(m);
  auto waiting = m.start(0, PASSIVE_LEVEL, [] {
    target = KeGetCurrentThread();
    for (int time = 0; time < 2; ++time) {
      wait_for(&events[0]);
      KDPC_EXPECT_EQ(KeQueryPriorityThread(target), 11);
    }
  });
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 3, FALSE); });  // five units are left
  for (int time = 0; time < 10; ++time)
    m.on(0, PASSIVE_LEVEL, [] {
      special(apcs[0], target);
      insert(apcs[0]);
    });
  EXPECT_STREQ(order, "SSSSSSSSSS");
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
}

// -- user APCs: nothing here returns to user mode -------------------------------------------------------------------------------------------

volatile int rundowns = 0;
VOID NTAPI rundown(PKAPC) { rundowns = rundowns + 1; }

KDPC_TEST(UserApc, EndsAnAlertableWaitForTheUserAndTheNextOnesToo) {
  RULE("WAIT-4");
  RULE("WAIT-5");
  initialize_events(m);
  rundowns = 0;
  auto waiting = m.start(0, PASSIVE_LEVEL, [] {
    target = KeGetCurrentThread();
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], UserRequest, UserMode, TRUE, nullptr), STATUS_USER_APC);
    KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], UserRequest, UserMode, FALSE, nullptr), STATUS_USER_APC);
    LARGE_INTEGER interval = in_ms(20);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(UserMode, TRUE, &interval), STATUS_USER_APC);
    KDPC_EXPECT_EQ(KeDelayExecutionThread(KernelMode, TRUE, &interval), STATUS_SUCCESS);
  });
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeApc(&apcs[0], target, OriginalApcEnvironment, kernel_routine, rundown, normal_routine, UserMode, nullptr);
    KDPC_EXPECT_EQ(insert(apcs[0]), TRUE);
  });
  EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  let_rest(m);
  EXPECT_STREQ(order, "");
  EXPECT_EQ(rundowns, 1);  // the thread has ended
}

KDPC_TEST(UserApc, DoesNotEndAWaitOfTheKernelsNorOneThatIsNotAlertable) {
  RULE("WAIT-4");
  for (const KPROCESSOR_MODE mode : {KernelMode, UserMode}) {
    initialize_events(m);
    auto waiting = m.start(0, PASSIVE_LEVEL, [mode] {
      target = KeGetCurrentThread();
      KDPC_EXPECT_EQ(KeWaitForSingleObject(&events[0], Executive, mode, mode == KernelMode, nullptr), STATUS_SUCCESS);
    });
    let_rest(m);
    m.on(0, PASSIVE_LEVEL, [] {
      KeInitializeApc(&apcs[0], target, OriginalApcEnvironment, kernel_routine, rundown, normal_routine, UserMode, nullptr);
      insert(apcs[0]);
    });
    let_rest(m);
    EXPECT_FALSE(waiting.done());
    m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE); });
    EXPECT_TRUE(m.run_until([&] { return waiting.done(); }, within(1s)));
  }
}

// -- IRQL-7: 0xC8 ---------------------------------------------------------------------------------------------------------------------------

VOID NTAPI stay_high(PKAPC, PKNORMAL_ROUTINE*, PVOID*, PVOID*, PVOID*) {
  KIRQL old;
  KeRaiseIrql(DISPATCH_LEVEL, &old);
}
VOID NTAPI stay_high_normally(PVOID, PVOID, PVOID) {
  KIRQL old;
  KeRaiseIrql(DISPATCH_LEVEL, &old);
}

KDPC_TEST(Apc, WhoseKernelRoutineReturnsAtAnotherLevelIsAFinding) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    special(apcs[0], KeGetCurrentThread(), stay_high);
    insert(apcs[0]);
  });
  EXPECT_BUGCHECK(0xC8, DISPATCH_LEVEL << 16 | APC_LEVEL << 8 | 0, stay_high, &apcs[0], 0);
}

KDPC_TEST(Apc, WhoseNormalRoutineReturnsAtAnotherLevelIsAFinding) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    normal(apcs[0], KeGetCurrentThread(), "x", stay_high_normally);
    insert(apcs[0]);
  });
  EXPECT_BUGCHECK(0xC8, DISPATCH_LEVEL << 16 | PASSIVE_LEVEL << 8 | 1, kernel_routine, &apcs[0], stay_high_normally);
}

}  // namespace
