// The retire loop: what a drain runs, in which order, on which stack. SEMANTICS section 6.
#include "tests/kernel/at_rest.h"
#include "tests/kernel/dpc_order.h"

namespace {

using namespace std::chrono_literals;
using namespace dpc_order;

constexpr unsigned kVector = 0x51;

KTIMER timer;
KDPC timer_dpc;
VOID NTAPI in_timer(PKDPC, PVOID, PVOID, PVOID) { order += "timer "; }

VOID NTAPI spend_a_tick(PKDPC, PVOID Context, PVOID, PVOID) {
  order += static_cast<const char*>(Context);
  order += ' ';
  KeStallExecutionProcessor(20000);
}

KDPC_TEST(DpcRetire, TimersComeFirstAndARequestMadeMeanwhileWaitsForTheWholeList, .simulated_only = "counts on where a tick falls") {
  RULE("RET-3");
  RULE("RET-3a");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeTimer(&timer);
    KeInitializeDpc(&timer_dpc, in_timer, nullptr);
    LARGE_INTEGER due;
    due.QuadPart = -1;  // due at the next tick, which falls into the first DPC
    KeSetTimer(&timer, due, &timer_dpc);
    KeInitializeDpc(&dpcs[0], spend_a_tick, const_cast<char*>("long"));
    prepare(&dpcs[1], "next", MediumImportance);
    prepare(&dpcs[2], "last", MediumImportance);
    for (int i = 0; i < 3; ++i) KeInsertQueueDpc(&dpcs[i], nullptr, nullptr);
  });
  EXPECT_EQ(order, "long next last timer ");
  // The request was made while the drain was running, and delivered as a drain of its own right after it.
  EXPECT_GE(m.count("drain-began"), 2u);
}

KDPC_TEST(DpcRetire, ADueTimerRunsBeforeTheQueuedDpcs) {
  RULE("RET-3");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeTimer(&timer);
    KeInitializeDpc(&timer_dpc, in_timer, nullptr);
    LARGE_INTEGER due;
    due.QuadPart = -1;
    KeSetTimer(&timer, due, &timer_dpc);
    prepare(&dpcs[0], "dpc", MediumImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeStallExecutionProcessor(20000);  // the tick comes while both wait for the IRQL to fall
  });
  EXPECT_EQ(order, "timer dpc ");
}

KDPC_TEST(DpcRetire, NothingIsForgottenBetweenTheEndOfADrainAndAnInsertion, .processors = 2, .simulated_only = "says how soon") {
  RULE("RET-3b");
  // Many insertions from one processor at shifting distances to the drains of the other: each runs within a millisecond, without the tick.
  static int inserted;
  inserted = 0;
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpcs[0], nothing, nullptr);
    KeSetImportanceDpc(&dpcs[0], HighImportance);
    KeSetTargetProcessorDpc(&dpcs[0], 1);
  });
  for (int i = 0; i < 200; ++i) {
    m.on(0, PASSIVE_LEVEL, [i] {
      for (int turn = 0; turn < 3; ++turn) {
        if (KeInsertQueueDpc(&dpcs[0], nullptr, nullptr)) ++inserted;
        KeStallExecutionProcessor(static_cast<ULONG>(1 + i % 7));
      }
    });
    EXPECT_TRUE(m.run_until([] { return runs == inserted; }, 1ms));
  }
  EXPECT_EQ(runs, inserted);
}

PKINTERRUPT interrupt;
volatile bool begun = false, interrupted = false;
BOOLEAN NTAPI insert_from_isr(PKINTERRUPT, PVOID) {
  prepare(&dpcs[5], "from-isr", MediumImportance);
  KeInsertQueueDpc(&dpcs[5], nullptr, nullptr);
  interrupted = true;
  return TRUE;
}
VOID NTAPI be_interrupted(PKDPC, PVOID, PVOID, PVOID) {
  order += "begin ";
  begun = true;
  for (int turn = 0; turn < 100'000 && !interrupted; ++turn) KeStallExecutionProcessor(10);
  order += "end ";
}

KDPC_TEST(DpcRetire, AnInterruptPreemptsADpcAndItsDpcRunsInTheSameDrain) {
  RULE("RET-4");
  RULE("RET-9");
  reset();
  begun = false;
  interrupted = false;
  m.on(0, PASSIVE_LEVEL, [] {
    IoConnectInterrupt(&interrupt, insert_from_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE);
    KeInitializeDpc(&dpcs[0], be_interrupted, nullptr);
  });
  auto task = m.start(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&dpcs[0], nullptr, nullptr); });
  EXPECT_TRUE(m.run_until([] { return begun; }, kdpc::test::within(1s)));
  m.forget_events();
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, kdpc::test::within(1s)));
  EXPECT_EQ(order, "begin end from-isr ");
  EXPECT_EQ(m.count("activity-began", {{"kind", 0}}), 1u);
  EXPECT_EQ(m.count("drain-began"), 0u) << "the interrupt must not have ended the drain";
}

struct Inside {
  KIRQL irql;
  bool released, successor_first, executing;
  ULONG_PTR stack;
};
Inside inside;
VOID NTAPI look(PKDPC Dpc, PVOID, PVOID, PVOID) {
  inside.irql = KeGetCurrentIrql();
  inside.released = Dpc->DpcData == nullptr;
  inside.successor_first = dpcs[1].DpcData != nullptr;
  inside.executing = KeIsExecutingDpc() != 0;
  inside.stack = reinterpret_cast<ULONG_PTR>(__builtin_frame_address(0));
}

KDPC_TEST(DpcRetire, TheRoutineRunsAtDispatchReleasedAndOnTheDpcStack) {
  RULE("RET-5");
  RULE("RET-11");
  static ULONG_PTR thread_stack, idle_dpc_stack;
  reset();
  inside = {};
  m.on(0, DISPATCH_LEVEL, [] {
    thread_stack = reinterpret_cast<ULONG_PTR>(__builtin_frame_address(0));
    KeInitializeDpc(&dpcs[0], look, nullptr);
    prepare(&dpcs[1], "next", MediumImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
  });
  EXPECT_EQ(inside.irql, DISPATCH_LEVEL);
  EXPECT_TRUE(inside.released);
  EXPECT_TRUE(inside.successor_first);
  EXPECT_TRUE(inside.executing);
  const auto distance = inside.stack > thread_stack ? inside.stack - thread_stack : thread_stack - inside.stack;
  EXPECT_GT(distance, 24u * 1024) << "the DPC ran on the interrupted thread's stack";
  // From the idle loop there is no thread to protect: the routine runs on the idle thread's own stack.
  idle_dpc_stack = inside.stack;
  inside = {};
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeTimer(&timer);
    LARGE_INTEGER due;
    due.QuadPart = -1;
    KeSetTimer(&timer, due, &dpcs[0]);
  });
  EXPECT_TRUE(m.run_until([] { return inside.stack != 0; }, kdpc::test::within(1s)));
  const auto other = inside.stack > idle_dpc_stack ? inside.stack - idle_dpc_stack : idle_dpc_stack - inside.stack;
  EXPECT_GT(other, 24u * 1024);
}

VOID NTAPI insert_high(PKDPC, PVOID, PVOID, PVOID) {
  order += "first-begins ";
  prepare(&dpcs[2], "high", HighImportance);
  KeInsertQueueDpc(&dpcs[2], nullptr, nullptr);
  KeStallExecutionProcessor(10);
  order += "first-ends ";
}

KDPC_TEST(DpcRetire, AHighDpcRunsNextButNeverPreemptsTheRunningOne) {
  RULE("RET-8");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpcs[0], insert_high, nullptr);
    prepare(&dpcs[1], "queued-before", MediumImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
  });
  EXPECT_EQ(order, "first-begins first-ends high queued-before ");
}

KEVENT never;
VOID NTAPI wait_in_dpc(PKDPC, PVOID, PVOID, PVOID) { KeWaitForSingleObject(&never, Executive, KernelMode, FALSE, nullptr); }

KDPC_TEST(DpcRetire, ASwitchAttemptedFromADpcIsABugCheck, .options = {{"wait_check", "late"}}) {
  RULE("RET-10");
  static PKTHREAD thread;
  m.on(0, PASSIVE_LEVEL, [] {
    thread = KeGetCurrentThread();
    KeInitializeEvent(&never, NotificationEvent, FALSE);
    KeInitializeDpc(&dpcs[0], wait_in_dpc, nullptr);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
  });
  EXPECT_BUGCHECK(0xB8, thread, kdpc::test::any, kdpc::test::any, 0);
}

KDPC_TEST(DpcRetire, TheIdleLoopDrainsWithoutADispatchInterrupt) {
  RULE("RET-2");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&interrupt, insert_from_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return m.processor_state(0).idle; }, kdpc::test::within(1ms)));
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, kdpc::test::within(1ms)));
  const auto ran = m.events("activity-began", {{"object", m.address_of(&dpcs[5])}});
  ASSERT_EQ(ran.size(), 1u);
  EXPECT_EQ(ran[0].thread, m.processor_state(0).thread) << "it borrowed the idle thread";
  EXPECT_TRUE(m.processor_state(0).idle);
}

// A thread and a DPC are both due when the level falls: first the whole DPC list, then the switch.
KEVENT go;
VOID NTAPI signal_then(PKDPC, PVOID, PVOID, PVOID) {
  order += "dpc1 ";
  KeSetEvent(&go, 0, FALSE);
}

KDPC_TEST(DpcRetire, TheNextThreadRunsAfterTheWholeDpcList) {
  RULE("RET-1");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeEvent(&go, SynchronizationEvent, FALSE); });
  auto waiter = m.start(0, PASSIVE_LEVEL,
                        [] {
                          KeWaitForSingleObject(&go, Executive, KernelMode, FALSE, nullptr);
                          order += "thread ";
                        },
                        {.name = "waiter", .priority = 12});
  kdpc::test::let_rest(m);
  m.on(0, DISPATCH_LEVEL, [] {
    KeInitializeDpc(&dpcs[0], signal_then, nullptr);
    prepare(&dpcs[1], "dpc2", MediumImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
  });
  EXPECT_TRUE(m.run_until([&] { return waiter.done(); }, kdpc::test::within(1s)));
  EXPECT_EQ(order, "dpc1 dpc2 thread ");
}

// --- a processor that leaves its idle loop for a thread ---------------------------------------------------------------------------------------------

struct Leaving {
  KEVENT go;
  KTIMER busy;
  KDPC busy_dpc, urgent;
  volatile bool stop, ran;
};
Leaving leaving;
VOID NTAPI urgent_ran(PKDPC, PVOID, PVOID, PVOID) { leaving.ran = true; }

KDPC_TEST(Idle, ADpcThatCameWhileItPolledRunsBeforeTheThread, .processors = 3, .costs = {{"lock", "1000"}}, .simulated_only = "asks for costs") {
  RULE("TAB-1");
  leaving = {};
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeEvent(&leaving.go, SynchronizationEvent, FALSE);
    KeInitializeTimer(&leaving.busy);
    KeInitializeDpc(&leaving.busy_dpc, nothing, nullptr);
    KeInitializeDpc(&leaving.urgent, urgent_ran, nullptr);
    KeSetImportanceDpc(&leaving.urgent, HighImportance);
    KeSetTargetProcessorDpc(&leaving.urgent, 1);
  });
  const auto sleeper = m.start(1, PASSIVE_LEVEL, [] {
    while (!leaving.stop) {
      KeWaitForSingleObject(&leaving.go, Executive, KernelMode, FALSE, nullptr);
      KeStallExecutionProcessor(300);
    }
  });
  // Holds the dispatcher lock most of the time, so that processor 1 waits for it between its idle loop and the thread.
  const auto busy = m.start(2, DISPATCH_LEVEL, [] {
    const LARGE_INTEGER now{};
    while (!leaving.stop) KeSetTimer(&leaving.busy, now, &leaving.busy_dpc);
  });
  m.run_for(std::chrono::milliseconds(1));
  unsigned late = 0;
  for (int calls = 0; calls < 200; ++calls) {
    leaving.ran = false;
    m.on(0, DISPATCH_LEVEL, [calls] {
      KeSetEvent(&leaving.go, 0, FALSE);
      for (int call = 0; call < calls; ++call) KeGetCurrentProcessorNumber();
      KeInsertQueueDpc(&leaving.urgent, nullptr, nullptr);
    });
    m.run_for(std::chrono::microseconds(100));
    if (!leaving.ran) ++late;
    m.run_for(std::chrono::microseconds(400));
  }
  leaving.stop = true;
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&leaving.go, 0, FALSE); });
  m.run_until([&] { return sleeper.done() && busy.done(); }, std::chrono::milliseconds(40));
  EXPECT_EQ(late, 0u);
}

KDPC_TEST(Watchdog, AThreadThatRaisesItselfIsNoIsr, .options = {{"dpc_time_limit", "4"}, {"dpc_watchdog_period", "1000"}}) {
  RULE("WDG-3");
  m.on(0, PASSIVE_LEVEL, [] {
    for (int turn = 0; turn < 20; ++turn) {
      KIRQL old;
      KeRaiseIrql(5, &old);
      KeStallExecutionProcessor(16000);  // meets a tick
      KeLowerIrql(old);
    }
  });
  EXPECT_NO_FINDINGS();
}

}  // namespace
