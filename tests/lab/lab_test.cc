// The lab runs things inside the machine and answers questions about what happened.
#include "kdpc/test.h"
#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "kernel/system.h"
#include "kernel/wait.h"
#include "wdm.h"

using namespace std::chrono_literals;

namespace kdpc {

namespace {

struct Heard {
  int isrs = 0;
  int dpcs = 0;
  Dpc dpc;
  lab::Machine* machine = nullptr;
  unsigned line = 0;
};

unsigned char KDPC_NTAPI isr(Interrupt*, void* context) {
  auto& heard = *static_cast<Heard*>(context);
  ++heard.isrs;
  dpc::insert(&heard.dpc, nullptr, nullptr);
  return 1;
}

void KDPC_NTAPI deferred(Dpc*, void* context, void*, void*) { ++static_cast<Heard*>(context)->dpcs; }

void connect(Heard& heard, unsigned char vector, Trigger trigger) {
  dpc::initialize(heard.dpc, deferred, &heard);
  Interrupt* interrupt = nullptr;
  InterruptSpec spec;
  spec.routine = isr;
  spec.context = &heard;
  spec.vector = vector;
  spec.irql = spec.synchronize_irql = irql_of(vector);
  spec.trigger = trigger;
  spec.processors = ProcessorSet::only(0);
  KDPC_EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
}

}  // namespace

KDPC_TEST(Lab, AnEdgeLineInterruptsOncePerAssertion) {
  Heard heard;
  const unsigned line = m.add_line(false);
  m.assign_line(line, 0x51, false);
  m.on(0, Irql::Passive, [&] { connect(heard, 0x51, Trigger::Latched); });
  m.assert_line(line);
  EXPECT_TRUE(m.run_until([&] { return heard.dpcs == 1; }, 1ms));
  m.run_for(1ms);
  EXPECT_EQ(heard.isrs, 1);
  m.deassert_line(line);
  m.assert_line(line);
  EXPECT_TRUE(m.run_until([&] { return heard.dpcs == 2; }, 1ms));
  EXPECT_EQ(m.count("activity-began", {{"kind", static_cast<std::uint64_t>(ActivityKind::Isr)}}), 2u);
}

KDPC_TEST(Lab, AMessageInterruptsWithoutALine) {
  Heard heard;
  m.on(0, Irql::Passive, [&] { connect(heard, 0x61, Trigger::Latched); });
  m.send_message(0x61);
  EXPECT_TRUE(m.run_until([&] { return heard.dpcs == 1; }, 1ms));
  EXPECT_EQ(heard.isrs, 1);
}

KDPC_TEST(Lab, MoreTasksThanSlotsAllRun, .processors = 2) {
  int runs = 0;
  std::vector<lab::Task> tasks;
  for (unsigned i = 0; i < 200; ++i) tasks.push_back(m.start(i % 2, Irql::Passive, [&] { ++runs; }));
  EXPECT_TRUE(m.run_until([&] { return runs == 200; }, 1s));
  m.run_for(1ms);
  for (const lab::Task& task : tasks) EXPECT_TRUE(task.done());
}

KDPC_TEST(Lab, ATaskKeepsWhatItsLambdaHolds) {
  auto value = std::make_shared<int>(0);
  m.start(0, Irql::Passive, [value] { *value = 7; });  // the handle is dropped
  EXPECT_TRUE(m.run_until([&] { return *value == 7; }, 1s));
}

KDPC_TEST(Lab, EventsCanBeAskedForByNameAndField, .processors = 2) {
  static Dpc dpc;
  Heard heard;
  m.on(0, Irql::Passive, [&] {
    dpc::initialize(dpc, deferred, &heard);
    dpc::set_target(dpc, 1);
    dpc::insert(&dpc, nullptr, nullptr);
  });
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&dpc)}});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(queued[0]["target"], 1u);
  EXPECT_EQ(queued[0]["routine"], m.address_of(&deferred));
  EXPECT_TRUE(queued[0].has("importance"));
  EXPECT_FALSE(queued[0].has("colour"));
  EXPECT_EQ(m.count("dpc-queued", {{"colour", 1}}), 0u);
  m.forget_events();
  EXPECT_EQ(m.events().size(), 0u);
}

KDPC_TEST(Lab, WhatDriversPrintIsKept) {
  m.on(0, Irql::Dispatch, [] { DbgPrint("value %d\n", 42); });
  const auto lines = m.debug_lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].text, "value 42");
  EXPECT_EQ(lines[0].irql, 2u);
}

KDPC_TEST(Lab, ABugcheckIsExplained) {
  m.on(0, Irql::Dispatch, [] { KeLowerIrql(HIGH_LEVEL); });
  EXPECT_BUGCHECK(stop::DriverVerifierDetectedViolation, 0x31, DISPATCH_LEVEL, HIGH_LEVEL);
  const lab::Bugcheck& stop = *m.outcome().bugcheck;
  EXPECT_EQ(stop.name, "DRIVER_VERIFIER_DETECTED_VIOLATION");
  EXPECT_EQ(stop.rule, "IRQL-7");
  EXPECT_EQ(stop.irql, 2u);
  EXPECT_TRUE(stop.place.file.ends_with("lab_test.cc")) << m.outcome().report();
  EXPECT_GT(stop.stack.size(), 2u) << m.outcome().report();
}

KDPC_TEST(Lab, ARoutineThatRefusesItsCallerIsNamedAndSoIsWhatItWasGiven) {
  static KEVENT event;
  m.on(0, Irql::Device, [] { KeSetEvent(&event, 0, FALSE); });
  EXPECT_BUGCHECK(stop::DriverVerifierDetectedViolation, 0x80, Irql::Device, &event);
  EXPECT_EQ(m.outcome().bugcheck->sentence, "KeSetEvent was called above DISPATCH_LEVEL, the highest IRQL it allows.");
  EXPECT_NE(m.outcome().report().find("  parameter 3 is lab_test.sim!"), std::string::npos) << m.outcome().report();
}

KDPC_TEST(Lab, AfterTheEndNothingRunsAndEverythingCanBeAsked) {
  m.on(0, Irql::Dispatch, [] { KeLowerIrql(HIGH_LEVEL); });
  EXPECT_BUGCHECK(0xC4);
  bool ran = false;
  EXPECT_FALSE(m.on(0, Irql::Passive, [&] { ran = true; }));
  EXPECT_FALSE(m.run_for(1ms));
  EXPECT_FALSE(ran);
  EXPECT_EQ(m.outcome().how, lab::Ended::Bugcheck);
  EXPECT_GT(m.count("irql-changed"), 0u);
  EXPECT_EQ(m.processor_state(0).number, 0u);
}

KDPC_TEST(Lab, TheProcessorsCanBeSeen, .processors = 2) {
  m.run_for(50ms);
  EXPECT_EQ(m.processors(), 2u);
  for (unsigned number = 0; number < 2; ++number) {
    const lab::ProcessorState state = m.processor_state(number);
    EXPECT_TRUE(state.idle);
    EXPECT_EQ(state.thread_name, "idle");
    EXPECT_EQ(state.maximum_dpc_queue_depth, 4);
    EXPECT_EQ(state.dpc_depth, 0);
    EXPECT_GE(state.interrupts, 3u);
  }
  EXPECT_NE(m.processor_table().find("idle"), std::string::npos);
}

KDPC_TEST(Lab, TheOptionsInForceCanBeSeen, .options = {{"wait_check", "late"}}) {
  EXPECT_EQ(m.options().at("wait_check"), "late");
  EXPECT_EQ(m.options().at("irql_checks"), "strict");
}

KDPC_TEST(Lab, TheLogKeepsTheNewestEvents, .remember_events = 100) {
  m.run_for(1s);
  EXPECT_EQ(m.events().size(), 100u);
  EXPECT_GT(m.events_forgotten(), 0u);
  EXPECT_EQ(m.last_events(7).size(), 7u);
}

// All but the kernel's own locks: a driver's locks stay, and nothing else is left out.
KDPC_TEST(Lab, TheLastEventsOfAReportAreTheOnesThatTell) {
  static SpinLock lock;
  lock.initialize();
  m.on(0, Irql::Dispatch, [&] {
    lock.acquire_here(LockKind::Spin, LockForm::AtDpcLevel);
    lock.release_here(LockKind::Spin, LockForm::AtDpcLevel);
  });
  m.run_for(100ms);
  std::vector<std::string> expected;
  for (std::string& line : m.last_events(100'000)) {
    const bool is_of_a_lock = line.find(" lock-") != std::string::npos && line.find(" kind=system") != std::string::npos;
    if (!is_of_a_lock && line.find(" order-acquired ") == std::string::npos && line.find(" order-released ") == std::string::npos)
      expected.push_back(std::move(line));
  }
  EXPECT_EQ(m.last_events_that_tell(100'000), expected);
  EXPECT_LT(expected.size(), m.events().size());
  EXPECT_TRUE(std::any_of(expected.begin(), expected.end(), [](const std::string& line) { return line.find(" kind=spin") != std::string::npos; }));
  EXPECT_EQ(m.last_events_that_tell(3), std::vector<std::string>(expected.end() - 3, expected.end()));
}

KDPC_TEST(Lab, AnAddressHasAPlace) {
  const lab::Place place = m.place_of(m.address_of(&deferred));
  EXPECT_NE(place.text().find("deferred"), std::string::npos) << place.text();
  EXPECT_TRUE(place.file.ends_with("lab_test.cc"));
}

bool patience_lost = false;

KDPC_TEST(
    Lab, WhoeverLosesPatienceEndsWhatWaitsAndNothingElse, .interrupted = [] { return patience_lost; }) {
  patience_lost = false;
  EXPECT_TRUE(m.on(0, PASSIVE_LEVEL, [] {}));
  patience_lost = true;
  EXPECT_FALSE(m.run_until([] { return false; }, 1s));
  EXPECT_EQ(m.outcome().how, lab::Ended::TimeLimit);
  EXPECT_LT(m.now(), 1'000'000'000u);
  EXPECT_TRUE(m.run_until([] { return true; }, 1s));  // what is so already needs no patience
  patience_lost = false;
  EXPECT_TRUE(m.on(0, PASSIVE_LEVEL, [] {}));
}

KDPC_TEST(Lab, WaitingForNothingIsToldApartFromWaitingTooShort) {
  EXPECT_FALSE(m.run_until([] { return false; }, 1ms));
  EXPECT_EQ(m.outcome().how, lab::Ended::TimeLimit);
  EXPECT_FALSE(m.run_until([] { return false; }, 10s));
  EXPECT_EQ(m.outcome().how, lab::Ended::Quiescent);
  EXPECT_FALSE(m.outcome().over());
  EXPECT_TRUE(m.on(0, Irql::Passive, [] {}));  // the host can always make something happen
}

}  // namespace kdpc
