// When and where a readied thread runs, with which boost, and what a quantum's end does: SEMANTICS 8.1, RET-1.
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"
#include "tests/kernel/steps.h"

using namespace std::chrono_literals;
using namespace kdpc::test;

namespace {

constexpr std::uint64_t kQuantumEnd = 2;  // WaitReason
constexpr std::uint64_t kPreempted = 3;

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

KDPC_TEST(Readying, AnEqualThreadWaitsForItsTurn, .simulated_only = "counts on no quantum's end in between") {
  RULE("WAIT-6");
  initialize_events(m);
  auto equal = waiter(m, 0, 8, events[0], 'e');
  m.on(0, PASSIVE_LEVEL, [] {
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    note('1');
  });
  EXPECT_TRUE(m.run_until([&] { return equal.done(); }, within(1s)));
  EXPECT_STREQ(order, "1e");
}

KDPC_TEST(Readying, AHaltedIdleProcessorIsWokenForTheThread, .processors = 2, .simulated_only = "says how soon") {
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

KDPC_TEST(Readying, AnIdleProcessorIsPreferredToABusyOne, .processors = 3, .simulated_only = "asks for a state that lasts for milliseconds") {
  RULE("WAIT-7");
  for (unsigned idle = 0; idle < 3; ++idle) {  // whatever the thread's ideal processor is
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
    EXPECT_TRUE(m.run_until([&] { return busy[0].done() && busy[1].done(); }, within(1s)));
  }
}

KDPC_TEST(Readying, ABusyProcessorIsPreemptedThroughAnIpi, .processors = 2, .simulated_only = "says how soon") {
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
  EXPECT_TRUE(m.run_until([&] { return busy.done(); }, within(1s)));
  EXPECT_STREQ(order, "hb");
}

KDPC_TEST(Readying, ALowerOrEqualThreadOnABusyProcessorSendsNoIpi, .processors = 2,
          .simulated_only = "asks for a state that lasts for milliseconds") {
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
  EXPECT_TRUE(m.run_until([] { return steps == 2; }, within(1s)));
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
  EXPECT_TRUE(m.run_until([] { return steps == 3; }, within(1s)));
  EXPECT_STREQ(order, "hmn");
}

KDPC_TEST(Readying, APreemptedThreadGoesToTheHeadOfItsListOthersToTheTail, .simulated_only = "counts on no quantum's end in between") {
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
  EXPECT_TRUE(m.run_until([] { return steps == 5; }, within(1s)));
  EXPECT_STREQ(order, "ahabc");
}

// -- BOOST-1 --------------------------------------------------------------------------------------------------------------------------------

KPRIORITY priority_now() { return KeQueryPriorityThread(KeGetCurrentThread()); }

// The priority with which a thread of this base comes out of a wait that ended with this increment.
KPRIORITY priority_after(kdpc::lab::Machine& m, unsigned base, KPRIORITY increment) {
  static KPRIORITY result;
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL,
                      [] {
                        wait_for(&events[0]);
                        result = priority_now();
                      },
                      {.priority = base});
  let_rest(m);
  m.on(0, PASSIVE_LEVEL, [increment] { KeSetEvent(&events[0], increment, FALSE); });
  m.run_until([&] { return task.done(); }, within(1s));
  return result;
}

KDPC_TEST(Boost, IsTheBasePlusTheIncrementAndAtMost15, .simulated_only = "counts on no quantum's end in between") {
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

KDPC_TEST(Boost, DecaysOneStepWithEachQuantum, .simulated_only = "counts ticks") {
  RULE("BOOST-1");
  initialize_events(m);
  auto task = m.start(0, PASSIVE_LEVEL, [] {
    wait_for(&events[0]);
    for (const KPRIORITY expected : {11, 10, 9, 8, 8}) {
      KDPC_EXPECT_EQ(priority_now(), expected);
      KeStallExecutionProcessor(2 * 15'625);  // a quantum is two ticks
    }
  });
  m.run_for(1ms);
  m.on(0, PASSIVE_LEVEL, [] { KeSetEvent(&events[0], 3, FALSE); });
  EXPECT_TRUE(m.run_until([&] { return task.done(); }, within(1s)));
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
  auto high = m.start(0, PASSIVE_LEVEL,
                      [] {
                        seen.high_thread = reinterpret_cast<ULONG_PTR>(PsGetCurrentThreadId());
                        wait_for(&events[1]);
                        note('h');
                      },
                      {.priority = 14});
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
  EXPECT_TRUE(m.run_until([&] { return low.done() && high.done(); }, within(1s)));
  EXPECT_STREQ(order, "ldhL");
}

KDPC_TEST(DispatchInterrupt, DoesAllDpcsThenTheQuantumEndAndThatTakesTheNextThread, .simulated_only = "counts ticks") {
  RULE("6.4");
  RULE("V-10");
  RULE("RET-1");
  one_dispatch_interrupt(m, 40);
  EXPECT_EQ(seen.before, 11);
  EXPECT_EQ(seen.after, 10);  // the quantum end came first: one step of decay
  EXPECT_EQ(m.count("thread-switched", {{"from", seen.low_thread}, {"to", seen.high_thread}, {"why", kQuantumEnd}}), 1u);
  EXPECT_EQ(m.count("thread-switched", {{"from", seen.low_thread}, {"to", seen.high_thread}, {"why", kPreempted}}), 0u);
}

KDPC_TEST(DispatchInterrupt, WithoutAQuantumEndSwitchesToTheNextThread, .simulated_only = "counts on no quantum's end in between") {
  RULE("RET-1");
  one_dispatch_interrupt(m, 1);
  EXPECT_EQ(seen.after, seen.before);
  EXPECT_EQ(m.count("thread-switched", {{"from", seen.low_thread}, {"to", seen.high_thread}, {"why", kPreempted}}), 1u);
}

// A low thread stands by at processor 1 when a higher one leaves processor 0 for that one, and comes to processor 0, which has nothing else; while that one
// is not there yet, processor 2 readies another thread for it. Nobody may take the first one's place: however late the third processor is.
KDPC_TEST(Readying, AThreadThatComesToAProcessorWhichGoesIdleIsNotForgotten, .processors = 3) {
  RULE("WAIT-7");
  RULE("K.SCHED-1");
  initialize_events(m);
  static volatile int low_runs, other_runs, turn;
  static volatile bool over;
  low_runs = 0;
  other_runs = 0;
  turn = 0;
  over = false;
  static KSPIN_LOCK nobodys;
  const auto a_moment = [] {
    KeAcquireSpinLockAtDpcLevel(&nobodys);
    KeReleaseSpinLockFromDpcLevel(&nobodys);
  };
  const auto runs_when_told = [](KEVENT& event, KAFFINITY where, volatile int& runs) {
    return [&event, where, &runs] {
      KeSetSystemAffinityThread(where);
      while (wait_for(&event), !over) runs = runs + 1;
    };
  };
  const auto low = m.start(1, PASSIVE_LEVEL, runs_when_told(events[0], 3, low_runs), {.priority = 4});
  const auto other = m.start(0, PASSIVE_LEVEL, runs_when_told(events[1], 1, other_runs), {.priority = 4});
  constexpr int kTurns = 120;
  for (int number = 1; number <= kTurns; ++number) {
    m.run_for(1ms);
    const auto third = m.start(2, DISPATCH_LEVEL, [number, a_moment] {
      while (turn != number) a_moment();
      for (unsigned late = 0; late < static_cast<unsigned>(number); ++late) a_moment();
      KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
    });
    const auto leaves = m.start(0, PASSIVE_LEVEL, [number] {
      KeStallExecutionProcessor(50);
      turn = number;
      KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
      KeSetSystemAffinityThread(2);
    });
    ASSERT_TRUE(m.run_until([&] { return low_runs == number && other_runs == number && third.done() && leaves.done(); }, within(100ms))) << number;
  }
  m.on(0, PASSIVE_LEVEL, [] {
    over = true;
    KeSetEvent(&events[0], IO_NO_INCREMENT, FALSE);
    KeSetEvent(&events[1], IO_NO_INCREMENT, FALSE);
  });
  EXPECT_TRUE(m.run_until([&] { return low.done() && other.done(); }, within(1s)));
}

KDPC_TEST(Quantum, StaysUsedUpHoweverLongTheThreadCannotBePreempted, .simulated_only = "counts ticks") {
  reset();
  const auto long_one = m.start(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    for (int ticks = 0; ticks < 47; ++ticks) KeStallExecutionProcessor(15625);  // 47 × 3 units: more than a signed byte holds
    KeLowerIrql(old);
    note('a');
  });
  m.run_for(20ms);
  const auto other = m.start(0, PASSIVE_LEVEL, [] { note('b'); });
  m.run_until([&] { return long_one.done() && other.done(); }, 3s);
  EXPECT_STREQ(order, "ba");
}

}  // namespace
