// The machine starts, runs what the host sends into it, and stops.
#include "kdpc/test.h"
#include "kernel/bugcheck.h"
#include "kernel/dpc.h"
#include "kernel/system.h"
#include "kernel/timer.h"
#include "kernel/wait.h"

using namespace std::chrono_literals;

namespace kdpc {

namespace {

void KDPC_NTAPI count_runs(Dpc*, void* context, void*, void*) {
  KDPC_EXPECT_EQ(current_irql(), Irql::Dispatch);
  ++*static_cast<int*>(context);
}

}  // namespace

KDPC_TEST(Smoke, BootsAndStops) { EXPECT_EQ(m.processor_state(0).irql, 15u); }

KDPC_TEST(Smoke, TimePasses, .processors = 2) {
  EXPECT_TRUE(m.run_for(100ms));
  EXPECT_GE(m.now(), 100'000'000u);
  EXPECT_GE(m.count("clock-ticked"), 6u);
}

KDPC_TEST(Smoke, ALambdaRunsAtPassiveOnItsProcessor, .processors = 3) {
  for (unsigned number = 0; number < 3; ++number) {
    bool ran = false;
    EXPECT_TRUE(m.on(number, Irql::Passive, [&] {
      KDPC_EXPECT_EQ(current_irql(), Irql::Passive);
      RaiseTo<Irql::Dispatch> raised;
      KDPC_EXPECT_EQ(thread::current().processor, number);
      ran = true;
    }));
    EXPECT_TRUE(ran);
  }
}

KDPC_TEST(Smoke, ALambdaRunsRaised) {
  for (const Irql level : {Irql::Apc, Irql::Dispatch, Irql::Device, Irql::Synch, Irql::Clock, Irql::High}) {
    int runs = 0;
    EXPECT_TRUE(m.on(0, level, [&] {
      KDPC_EXPECT_EQ(current_irql(), level);
      ++runs;
    }));
    EXPECT_EQ(runs, 1);
  }
}

KDPC_TEST(Smoke, ADpcInsertedAtPassiveHasRunWhenTheInsertionReturns) {
  RULE("IRQL-9");
  int runs = 0;
  static Dpc dpc;
  m.on(0, Irql::Passive, [&] {
    dpc::initialize(dpc, count_runs, &runs);
    KDPC_EXPECT(dpc::insert(&dpc, nullptr, nullptr));
    KDPC_EXPECT_EQ(runs, 1);
  });
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(Smoke, ADpcInsertedAtDispatchRunsWhenTheLevelFalls) {
  int runs = 0;
  static Dpc dpc;
  m.on(0, Irql::Dispatch, [&] {
    dpc::initialize(dpc, count_runs, &runs);
    KDPC_EXPECT(dpc::insert(&dpc, nullptr, nullptr));
    KDPC_EXPECT(!dpc::insert(&dpc, nullptr, nullptr));
    KDPC_EXPECT_EQ(runs, 0);
  });
  EXPECT_EQ(runs, 1);
}

KDPC_TEST(Smoke, ADpcRunsOnAnotherProcessor, .processors = 2) {
  int runs = 0;
  static Dpc dpc;
  m.on(0, Irql::Passive, [&] {
    dpc::initialize(dpc, count_runs, &runs);
    dpc::set_target(dpc, 1);
    dpc::set_importance(dpc, Importance::High);
    KDPC_EXPECT(dpc::insert(&dpc, nullptr, nullptr));
  });
  EXPECT_TRUE(m.run_until([&] { return runs == 1; }, 1s));
  EXPECT_EQ(m.events("activity-began", {{"object", m.address_of(&dpc)}}).at(0).processor, 1u);
}

KDPC_TEST(Smoke, AThreadWaitsForATimer) {
  m.on(0, Irql::Passive, [&] { KDPC_EXPECT_EQ(wait::delay(-1'000'000), 0); });
  EXPECT_GE(m.now(), 100'000'000u);
}

KDPC_TEST(Smoke, TwoThreadsShareAProcessor) {
  int first = 0, second = 0;
  const auto one = m.start(0, Irql::Passive, [&] {
    for (; first < 5; ++first) wait::delay(-200'000);
  });
  const auto two = m.start(0, Irql::Passive, [&] {
    for (; second < 5; ++second) wait::delay(-200'000);
  });
  EXPECT_TRUE(m.run_until([&] { return one.done() && two.done(); }, 2s));
  EXPECT_EQ(first + second, 10);
}

KDPC_TEST(Smoke, ADriversMistakeEndsTheRun) {
  const bool ran = m.on(0, Irql::Dispatch, [] { raise_for_driver(Irql::Passive); });
  EXPECT_FALSE(ran);
  EXPECT_BUGCHECK(stop::DriverVerifierDetectedViolation, 0x30, Irql::Dispatch, Irql::Passive);
  EXPECT_FALSE(m.run_for(1ms));
  EXPECT_NE(m.outcome().report().find("KeRaiseIrql was asked"), std::string::npos);
}

KDPC_TEST(Smoke, ASecondMachineIsRefused) {
  std::string why;
  EXPECT_EQ(lab::Machine::create({}, why), nullptr);
  EXPECT_NE(why.find("one at a time"), std::string::npos);
}

}  // namespace kdpc
