// Interrupt objects: SEMANTICS section 2.
#include <wdm.h>

#include <chrono>
#include <string>

#include "kdpc/test.h"
#include "tests/kernel/at_rest.h"

namespace {

using namespace std::chrono_literals;

constexpr unsigned kVector = 0x51;
std::string order;
volatile int calls = 0;
unsigned level_line = 0;
kdpc::lab::Machine* machine = nullptr;
PKINTERRUPT first, second, third;

void reset(kdpc::lab::Machine& m) {
  machine = &m;
  order.clear();
  order.reserve(4096);
  calls = 0;
}

struct Source {
  const char* name;
  bool mine;   // what it answers
  bool quiet;  // takes the line down
};
BOOLEAN NTAPI serve(PKINTERRUPT, PVOID Context) {
  const auto& source = *static_cast<Source*>(Context);
  calls = calls + 1;
  order += source.name;
  order += ' ';
  if (source.quiet) machine->deassert_line(level_line);
  return source.mine;
}
Source never_mine = {"a", false, false}, mine = {"b", true, true}, behind = {"c", true, true}, careless = {"d", true, false},
       shy = {"e", false, true};

NTSTATUS connect(PKINTERRUPT* object, Source& source, KINTERRUPT_MODE mode, BOOLEAN shared, KAFFINITY affinity = 1, KIRQL irql = 5,
                 KIRQL synchronize = 5, ULONG vector = kVector) {
  return IoConnectInterrupt(object, serve, &source, nullptr, vector, irql, synchronize, mode, shared, affinity, FALSE);
}

KDPC_TEST(Interrupt, AnEmptyProcessorMaskIsRefusedAndTheObjectIsNull, .processors = 2) {
  RULE("INT-1");
  m.on(0, PASSIVE_LEVEL, [] {
    first = reinterpret_cast<PKINTERRUPT>(1);
    KDPC_EXPECT(connect(&first, mine, Latched, FALSE, 0) == STATUS_INVALID_PARAMETER);
    KDPC_EXPECT(first == nullptr);
    first = reinterpret_cast<PKINTERRUPT>(1);
    KDPC_EXPECT(connect(&first, mine, Latched, FALSE, 4) == STATUS_INVALID_PARAMETER);  // a processor that is not there
    KDPC_EXPECT(first == nullptr);
    KDPC_EXPECT(connect(&first, mine, Latched, FALSE, 1) == STATUS_SUCCESS);
    KDPC_EXPECT(first != nullptr);
  });
}

KDPC_TEST(Interrupt, ConnectingAboveApcLevelIsABugCheck) {
  RULE("INT-1");
  m.on(0, DISPATCH_LEVEL, [] { connect(&first, mine, Latched, FALSE); });
  EXPECT_BUGCHECK(0xC4, 0xE5, DISPATCH_LEVEL);
}

// One ISR of a set never runs on two processors at once, because the set shares one lock.
volatile int in_isr = 0, most_in_isr = 0, isr_runs = 0;
void forget_isrs() {
  in_isr = 0;
  most_in_isr = 0;
  isr_runs = 0;
}
BOOLEAN NTAPI overlap(PKINTERRUPT, PVOID) {
  in_isr = in_isr + 1;
  if (in_isr > most_in_isr) most_in_isr = in_isr;
  KeStallExecutionProcessor(100);
  in_isr = in_isr - 1;
  isr_runs = isr_runs + 1;
  return TRUE;
}

KDPC_TEST(Interrupt, TheObjectIsASetWithOneLockForAllProcessors, .processors = 2, .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-2");
  RULE("INT-17");
  forget_isrs();
  m.on(0, PASSIVE_LEVEL,
       [] { KDPC_EXPECT(IoConnectInterrupt(&first, overlap, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 3, FALSE) == STATUS_SUCCESS); });
  EXPECT_EQ(m.count("interrupt-connected", {{"vector", kVector}, {"connected", 1}}), 2u);
  m.send_message(kVector, 0);
  m.send_message(kVector, 1);
  EXPECT_TRUE(m.run_until([] { return isr_runs == 2; }, kdpc::test::within(1s)));
  EXPECT_EQ(most_in_isr, 1);
  EXPECT_EQ(m.count("lock-acquired", {{"kind", 1}, {"waited", 1}}), 1u);
}

KDPC_TEST(Interrupt, ADriversOwnLockIsSharedByItsInterrupts, .processors = 2) {
  RULE("INT-2");
  static KSPIN_LOCK lock;
  forget_isrs();
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeSpinLock(&lock);
    KDPC_EXPECT(IoConnectInterrupt(&first, overlap, nullptr, &lock, 0x51, 5, 6, Latched, FALSE, 1, FALSE) == STATUS_SUCCESS);
    KDPC_EXPECT(IoConnectInterrupt(&second, overlap, nullptr, &lock, 0x61, 6, 6, Latched, FALSE, 2, FALSE) == STATUS_SUCCESS);
  });
  m.send_message(0x51, 0);
  m.send_message(0x61, 1);
  EXPECT_TRUE(m.run_until([] { return isr_runs == 2; }, kdpc::test::within(1s)));
  EXPECT_EQ(most_in_isr, 1);
}

volatile KIRQL seen_irql;
BOOLEAN NTAPI note_irql(PKINTERRUPT, PVOID) {
  seen_irql = KeGetCurrentIrql();
  return TRUE;
}

KDPC_TEST(Interrupt, SynchronizeIrqlIsAtLeastIrqlAndTheIsrRunsAtIt) {
  RULE("INT-3");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(connect(&first, mine, Latched, FALSE, 1, 5, 4) == STATUS_INVALID_PARAMETER);
    KDPC_EXPECT(IoConnectInterrupt(&first, note_irql, nullptr, nullptr, kVector, 5, 9, Latched, FALSE, 1, FALSE) == STATUS_SUCCESS);
  });
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([] { return seen_irql != 0; }, kdpc::test::within(1ms)));
  EXPECT_EQ(seen_irql, 9);
}

bool object_was_there;
BOOLEAN NTAPI note_object(PKINTERRUPT Interrupt, PVOID) {
  calls = calls + 1;
  object_was_there = first != nullptr;
  KDPC_EXPECT(Interrupt != nullptr);
  machine->deassert_line(level_line);
  return TRUE;
}

KDPC_TEST(Interrupt, AnAssertedLineInterruptsBeforeTheConnectionReturns) {
  RULE("INT-4");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.assert_line(level_line);
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(IoConnectInterrupt(&first, note_object, nullptr, nullptr, kVector, 5, 5, LevelSensitive, FALSE, 1, FALSE) == STATUS_SUCCESS);
    KDPC_EXPECT(calls == 1);
    KDPC_EXPECT(first != nullptr);
  });
  EXPECT_FALSE(object_was_there);  // the out-parameter was not yet filled
}

KDPC_TEST(Interrupt, AVectorIsSharedOnlyWhenAllAgreeAndTriggerAlike) {
  RULE("INT-5");
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(connect(&first, never_mine, LevelSensitive, FALSE) == STATUS_SUCCESS);
    KDPC_EXPECT(!NT_SUCCESS(connect(&second, mine, LevelSensitive, TRUE)));  // the first did not share
    IoDisconnectInterrupt(first);
    KDPC_EXPECT(connect(&first, never_mine, LevelSensitive, TRUE) == STATUS_SUCCESS);
    KDPC_EXPECT(!NT_SUCCESS(connect(&second, mine, LevelSensitive, FALSE)));
    KDPC_EXPECT(!NT_SUCCESS(connect(&second, mine, Latched, TRUE)));
    KDPC_EXPECT(connect(&second, mine, LevelSensitive, TRUE) == STATUS_SUCCESS);
  });
}

KDPC_TEST(Interrupt, ALevelChainIsCalledInOrderOfConnectionAndStopsAtTheFirstClaim) {
  RULE("INT-5");
  RULE("INT-14");
  RULE("INT-16");
  RULE("V-9");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(&first, never_mine, LevelSensitive, TRUE);
    connect(&second, mine, LevelSensitive, TRUE);
    connect(&third, behind, LevelSensitive, TRUE);
  });
  m.assert_line(level_line);
  EXPECT_TRUE(m.run_until([&] { return calls == 2 && m.processor_state(0).idle; }, kdpc::test::within(1ms)));
  kdpc::test::let_rest(m);
  EXPECT_EQ(order, "a b ");
}

int edges_left;
BOOLEAN NTAPI serve_edge(PKINTERRUPT, PVOID Context) {
  order += static_cast<const char*>(Context);
  order += ' ';
  return edges_left-- > 0;
}

KDPC_TEST(Interrupt, ALatchedChainIsWalkedUntilOneWholePassClaimsNothing) {
  RULE("V-9");
  reset(m);
  edges_left = 1;
  m.on(0, PASSIVE_LEVEL, [] {
    IoConnectInterrupt(&first, serve_edge, const_cast<char*>("a"), nullptr, kVector, 5, 5, Latched, TRUE, 1, FALSE);
    IoConnectInterrupt(&second, serve_edge, const_cast<char*>("b"), nullptr, kVector, 5, 5, Latched, TRUE, 1, FALSE);
  });
  m.send_message(kVector);
  EXPECT_TRUE(m.run_until([&] { return edges_left < -2; }, kdpc::test::within(1ms)));
  kdpc::test::let_rest(m);
  EXPECT_EQ(order, "a b a b ");  // the first pass found one, the second none
}

KDPC_TEST(Interrupt, TheAnswerOfAnUnchainedIsrDecidesNothing, .checks = {.off = {"isr-served-returned-false"}}) {
  RULE("INT-13");
  RULE("INT-16");
  RULE("V-12a");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.on(0, PASSIVE_LEVEL, [] { connect(&first, shy, LevelSensitive, FALSE); });
  for (int i = 1; i <= 3; ++i) {
    m.assert_line(level_line);
    EXPECT_TRUE(m.run_until([&] { return calls == i && m.processor_state(0).idle; }, kdpc::test::within(1ms)));
    EXPECT_EQ(calls, i);  // FALSE, but quieted: no storm, and the next one arrives
  }
  EXPECT_EQ(m.processor_state(0).irql, unsigned{DISPATCH_LEVEL});  // back in the idle loop
}

volatile int nested_level;
volatile bool high_ran, low_ended;
BOOLEAN NTAPI be_nested(PKINTERRUPT, PVOID Context) {
  const int depth = nested_level + 1;
  nested_level = depth;
  order += Context == nullptr ? "low-begins " : "high ";
  if (Context == nullptr) {
    for (int turn = 0; turn < 100'000 && !high_ran; ++turn) KeStallExecutionProcessor(10);
    order += "low-ends ";
  }
  (Context == nullptr ? low_ended : high_ran) = true;
  nested_level = depth - 1;
  return TRUE;
}

KDPC_TEST(Interrupt, AHigherInterruptPreemptsALowerIsr) {
  RULE("INT-17");
  reset(m);
  nested_level = 0;
  high_ran = false;
  low_ended = false;
  m.on(0, PASSIVE_LEVEL, [] {
    static int high;
    IoConnectInterrupt(&first, be_nested, nullptr, nullptr, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
    IoConnectInterrupt(&second, be_nested, &high, nullptr, 0x91, 9, 9, Latched, FALSE, 1, FALSE);
  });
  m.send_message(0x51);
  EXPECT_TRUE(m.run_until([] { return nested_level == 1; }, kdpc::test::within(1ms)));
  m.send_message(0x91);
  EXPECT_TRUE(m.run_until([] { return low_ended; }, kdpc::test::within(2ms)));
  EXPECT_EQ(order, "low-begins high low-ends ");
}

KDPC_TEST(Interrupt, ALineThatNobodyQuietsIsAStorm, .options = {{"storm_dispatches", "300"}}) {
  RULE("INT-18");
  RULE("V-12c");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.on(0, PASSIVE_LEVEL, [] { connect(&first, careless, LevelSensitive, FALSE); });
  m.assert_line(level_line);
  kdpc::test::run_to_its_end(m, 100ms);
  EXPECT_BUGCHECK(0xF2, serve, &careless, first, 1);
}

KDPC_TEST(Interrupt, AStormOnASharedVectorSaysSo, .options = {{"storm_dispatches", "300"}}) {
  RULE("INT-18");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.on(0, PASSIVE_LEVEL, [] {
    connect(&first, never_mine, LevelSensitive, TRUE);
    connect(&second, never_mine, LevelSensitive, TRUE);
  });
  m.assert_line(level_line);
  kdpc::test::run_to_its_end(m, 100ms);
  EXPECT_BUGCHECK(0xF2, serve, &never_mine, first, 2);
}

KDPC_TEST(Interrupt, AnUnexpectedVectorIsCountedAndEnded) {
  RULE("INT-19");
  m.send_message(0x71);
  m.send_message(0x71);
  EXPECT_TRUE(m.run_until([&] { return m.processor_state(0).unexpected_interrupts == 1; }, kdpc::test::within(1ms)));
  m.send_message(0x71);
  EXPECT_TRUE(m.run_until([&] { return m.processor_state(0).unexpected_interrupts == 2; }, kdpc::test::within(1ms)));
  EXPECT_EQ(m.processor_state(0).unexpected_interrupts, 2u);
  EXPECT_EQ(m.count("unexpected-interrupt", {{"vector", 0x71}}), 2u);
}

struct Shared {
  KIRQL irql;
  BOOLEAN answer;
};
Shared shared;
BOOLEAN NTAPI synchronized(PVOID Context) {
  auto& state = *static_cast<Shared*>(Context);
  state.irql = KeGetCurrentIrql();
  return state.answer;
}

KDPC_TEST(Interrupt, KeSynchronizeExecutionRunsAtSynchronizeIrqlUnderTheLockAndReturnsTheAnswer, .processors = 2,
          .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-21");
  forget_isrs();
  m.on(0, PASSIVE_LEVEL, [] {
    IoConnectInterrupt(&first, overlap, nullptr, nullptr, kVector, 5, 7, Latched, FALSE, 2, FALSE);
    for (const BOOLEAN answer : {BOOLEAN{TRUE}, BOOLEAN{FALSE}}) {
      shared = {0, answer};
      KDPC_EXPECT(KeSynchronizeExecution(first, synchronized, &shared) == answer);
      KDPC_EXPECT(shared.irql == 7);
      KDPC_EXPECT(KeGetCurrentIrql() == PASSIVE_LEVEL);
    }
  });
  m.send_message(kVector, 1);
  EXPECT_TRUE(m.run_until([] { return in_isr == 1; }, 1ms));
  m.on(0, PASSIVE_LEVEL, [] {
    KeSynchronizeExecution(
        first,
        [](PVOID) NTAPI -> BOOLEAN {
          KDPC_EXPECT(in_isr == 0);
          return TRUE;
        },
        nullptr);
  });
}

BOOLEAN NTAPI synchronize_again(PKINTERRUPT Interrupt, PVOID) {
  KeSynchronizeExecution(Interrupt, synchronized, &shared);
  return TRUE;
}

KDPC_TEST(Interrupt, KeSynchronizeExecutionInsideItsOwnIsrDeadlocksAndIsDiagnosed) {
  RULE("INT-21");
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&first, synchronize_again, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 1, FALSE); });
  m.send_message(kVector);
  kdpc::test::run_to_its_end(m, 1ms);
  EXPECT_BUGCHECK(0xF, kdpc::test::any, 0, 0, 5);
}

KDPC dpc;
int dpc_runs;
VOID NTAPI count_dpc(PKDPC, PVOID, PVOID, PVOID) { ++dpc_runs; }
BOOLEAN NTAPI long_isr(PKINTERRUPT, PVOID) {
  in_isr = in_isr + 1;
  KeInsertQueueDpc(&dpc, nullptr, nullptr);
  KeStallExecutionProcessor(300);
  in_isr = in_isr - 1;
  return TRUE;
}

KDPC_TEST(Interrupt, DisconnectWaitsForARunningIsrButNotForItsDpc, .processors = 2,
          .simulated_only = "asks for a state that lasts for microseconds") {
  RULE("INT-26");
  in_isr = 0;
  dpc_runs = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    KeInitializeDpc(&dpc, count_dpc, nullptr);
    IoConnectInterrupt(&first, long_isr, nullptr, nullptr, kVector, 5, 5, Latched, FALSE, 2, FALSE);
  });
  auto raised = m.start(1, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(1000); });  // keeps the DPC from running
  m.run_for(100us);
  m.send_message(kVector, 1);
  EXPECT_TRUE(m.run_until([] { return in_isr == 1; }, 1ms));
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT(in_isr == 1);
    IoDisconnectInterrupt(first);
    KDPC_EXPECT(in_isr == 0);
    KDPC_EXPECT(dpc_runs == 0);
  });
  EXPECT_TRUE(m.run_until([] { return dpc_runs == 1; }, kdpc::test::within(1s)));
  m.send_message(kVector, 1);
  m.run_for(1ms);
  EXPECT_EQ(m.processor_state(1).unexpected_interrupts + 0u, m.count("unexpected-interrupt"));
  EXPECT_EQ(in_isr, 0);
}

BOOLEAN NTAPI never_mine_at_all(PKINTERRUPT, PVOID) { return FALSE; }

KDPC_TEST(Interrupt, AStormOfTheDefaultLengthDoesNotFillTheStack) {
  RULE("INT-18");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.on(0, PASSIVE_LEVEL, [] { IoConnectInterrupt(&first, never_mine_at_all, nullptr, nullptr, kVector, 5, 5, LevelSensitive, FALSE, 1, FALSE); });
  m.assert_line(level_line);
  kdpc::test::run_to_its_end(m, 1s);
  EXPECT_BUGCHECK(0xF2, kdpc::test::any, kdpc::test::any, first, 1);
}

KDPC_TEST(Interrupt, AProcessorThatIsNotInTheSetDoesNotRunTheRoutine, .processors = 3) {
  RULE("INT-2");
  RULE("INT-19");
  reset(m);
  level_line = m.add_line(true);
  m.assign_line(level_line, kVector, true);
  m.on(0, PASSIVE_LEVEL, [] { connect(&first, mine, LevelSensitive, FALSE, 6); });
  m.assert_line(level_line);
  EXPECT_TRUE(m.run_until([] { return calls == 1; }, kdpc::test::within(1ms)));
  ASSERT_EQ(m.count("activity-began", {{"kind", 0}}), 1u);
  EXPECT_EQ(m.events("activity-began", {{"kind", 0}}).front().processor, 1u);
  m.send_message(kVector, 0);  // hardware that does not keep to it
  EXPECT_TRUE(m.run_until([&] { return m.processor_state(0).unexpected_interrupts == 1; }, kdpc::test::within(1ms)));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(m.processor_state(0).unexpected_interrupts, 1u);
}

KDPC_TEST(Interrupt, DisconnectingTwiceIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] {
    connect(&first, mine, Latched, FALSE);
    IoDisconnectInterrupt(first);
    IoDisconnectInterrupt(first);
  });
  EXPECT_BUGCHECK(0xC2, 7, 0, 0, first);
}

KDPC_TEST(Interrupt, TheClocksVectorIsNoDevices) {
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(connect(&first, mine, Latched, FALSE, 1, 13, 13, 0xD1), STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(connect(&first, mine, Latched, FALSE, 1, 14, 14, 0xE1), STATUS_INVALID_PARAMETER);
  });
  const auto ticks = m.count("clock-ticked");
  m.run_for(100ms);
  for (int more = 0; more < 50 && m.count("clock-ticked") == ticks && !kdpc::lab::is_simulated(); ++more) m.run_for(100ms);
  EXPECT_GT(m.count("clock-ticked"), ticks);
}

KDPC_TEST(Interrupt, ALockIsReleasedToALevelThatExists) {
  RULE("IRQL-7");
  m.on(0, PASSIVE_LEVEL, [] {
    connect(&first, mine, Latched, FALSE);
    KeAcquireInterruptSpinLock(first);
    KeReleaseInterruptSpinLock(first, 200);
  });
  EXPECT_BUGCHECK(0xC4, 0x31, 5, 200, 0);
}

}  // namespace
