// The latency sink on a real run: what masked a DPC is named, as is what ran before it.
#include <algorithm>

#include "kdpc/test.h"
#include "kernel/dpc.h"
#include "kernel/interrupt.h"
#include "trace/latency.h"
#include "trace/symbols.h"
#include "wdm.h"

using namespace std::chrono_literals;

namespace kdpc {

namespace {

struct Card {
  Dpc dpc;
  Dpc other;
  int runs = 0;
};

unsigned char KDPC_NTAPI card_isr(Interrupt*, void* context) {
  auto& card = *static_cast<Card*>(context);
  KeStallExecutionProcessor(3);
  dpc::insert(&card.other, nullptr, nullptr);
  dpc::insert(&card.dpc, nullptr, nullptr);
  return 1;
}

void KDPC_NTAPI slow_routine(Dpc*, void*, void*, void*) { KeStallExecutionProcessor(40); }
void KDPC_NTAPI card_routine(Dpc*, void* context, void*, void*) { ++static_cast<Card*>(context)->runs; }

void connect(Card& card) {
  dpc::initialize(card.dpc, card_routine, &card);
  dpc::initialize(card.other, slow_routine, &card);
  InterruptSpec spec;
  spec.routine = card_isr;
  spec.context = &card;
  spec.vector = 0x51;
  spec.irql = spec.synchronize_irql = irql_of(0x51);
  spec.trigger = Trigger::Latched;
  spec.processors = ProcessorSet::only(0);
  Interrupt* interrupt = nullptr;
  KDPC_EXPECT_EQ(interrupt::connect(spec, interrupt), ConnectResult::Connected);
}

std::uint64_t longest(const Latency& latency, std::uint64_t routine, Durations RoutineLatency::*what) {
  for (const RoutineLatency& each : latency.routines())
    if (each.routine == routine) return (each.*what).longest();
  ADD_FAILURE() << "the routine has not run";
  return 0;
}

}  // namespace

KDPC_TEST(LatencyOnMachine, AMaskedDpcNamesTheThreadAndTheDpcBeforeIt) {
  Latency latency(1);
  m.add_sink(latency);
  Card card;
  m.on(0, PASSIVE_LEVEL, [&] { connect(card); });
  bool raised = false;
  m.start(0, PASSIVE_LEVEL, [&] {
    KIRQL before;
    KeRaiseIrql(DISPATCH_LEVEL, &before);
    raised = true;
    KeStallExecutionProcessor(200);
    KeLowerIrql(before);
  });
  ASSERT_TRUE(m.run_until([&] { return raised; }, 1ms));
  m.send_message(0x51);
  ASSERT_TRUE(m.run_until([&] { return card.runs == 1; }, 10ms));
  m.run_for(1ms);
  m.remove_sink(latency);

  const auto runs = latency.worst();
  const auto run = std::find_if(runs.begin(), runs.end(), [&](const DpcRun& each) { return each.routine == m.address_of(&card_routine); });
  ASSERT_NE(run, runs.end());
  std::uint64_t by_thread = 0, by_isr = 0, by_dpc = 0, all = 0;
  for (const Wait& wait : run->waits) {
    all += wait.nanoseconds;
    if (wait.whom.what == Holder::What::RaisedThread) {
      by_thread += wait.nanoseconds;
      EXPECT_TRUE(wait.masked);
      EXPECT_TRUE(m.place_of(wait.whom.routine).file.ends_with("latency_on_machine_test.cc")) << m.place_of(wait.whom.routine).text();
    }
    if (wait.whom.what == Holder::What::Isr && wait.whom.routine == m.address_of(&card_isr)) by_isr += wait.nanoseconds;
    if (wait.whom.what == Holder::What::Dpc && wait.whom.routine == m.address_of(&slow_routine)) {
      by_dpc += wait.nanoseconds;
      EXPECT_FALSE(wait.masked);
    }
  }
  EXPECT_EQ(all, run->began - run->queued);
  EXPECT_GT(by_thread, 150'000u);
  EXPECT_GE(by_dpc, 40'000u);
  EXPECT_GT(by_isr, 0u);
  EXPECT_EQ(run->queued_by.what, Holder::What::Isr);
  EXPECT_GE(longest(latency, m.address_of(&card_isr), &RoutineLatency::inclusive), 3'000u);
  EXPECT_GT(longest(latency, m.address_of(&card_isr), &RoutineLatency::delay), 0u);
  EXPECT_GE(longest(latency, m.address_of(&slow_routine), &RoutineLatency::exclusive), 40'000u);
  EXPECT_GT(longest(latency, m.address_of(&card_routine), &RoutineLatency::masked), 150'000u);
}

KDPC_TEST(LatencyOnMachine, AnIsrInsideADpcIsNotTheDpcsOwnTime) {
  Latency latency(1);
  m.add_sink(latency);
  Card card;
  m.on(0, PASSIVE_LEVEL, [&] {
    connect(card);
    dpc::insert(&card.other, nullptr, nullptr);
  });
  m.start(0, PASSIVE_LEVEL, [&] { dpc::insert(&card.other, nullptr, nullptr); });
  ASSERT_TRUE(m.run_until([&] { return m.count("activity-began", {{"routine", m.address_of(&slow_routine)}}) == 2; }, 1ms));
  m.send_message(0x51);
  ASSERT_TRUE(m.run_until([&] { return card.runs == 1; }, 1ms));
  m.remove_sink(latency);
  for (const RoutineLatency& each : latency.routines()) {
    if (each.routine != m.address_of(&slow_routine)) continue;
    EXPECT_GE(each.inclusive.total() - each.exclusive.total(), 3'000u);
    return;
  }
  ADD_FAILURE() << "the routine has not run";
}

}  // namespace kdpc
