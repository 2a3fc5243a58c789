// Who is drained when: importance and target, and the adaptive thresholds. SEMANTICS sections 3.4 and 5.
#include <algorithm>
#include <vector>

#include "tests/kernel/at_rest.h"
#include "tests/kernel/dpc_order.h"

namespace {

using namespace std::chrono_literals;
using namespace dpc_order;

constexpr auto kTick = 15625us;

KDPC_TEST(DpcQueue, HighGoesToTheHeadAllOthersToTheTail) {
  RULE("5.1");
  RULE("V-4");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(&dpcs[0], "L1", LowImportance);
    prepare(&dpcs[1], "M1", MediumImportance);
    prepare(&dpcs[2], "H1", HighImportance);
    prepare(&dpcs[3], "M2", MediumHighImportance);
    prepare(&dpcs[4], "H2", HighImportance);
    for (int i = 0; i < 5; ++i) KeInsertQueueDpc(&dpcs[i], nullptr, nullptr);
  });
  EXPECT_EQ(order, "H2 H1 L1 M1 M2 ");
}

// For a busy target: which importance asks for an IPI with one DPC queued?
void expect_remote_request(kdpc::lab::Machine& m, KDPC_IMPORTANCE importance, bool wanted) {
  reset();
  auto busy = keep_busy(m, 1);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [importance] {
    prepare(&dpcs[0], "x", importance, 1);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
  });
  const auto queued = m.events("dpc-queued", {{"dpc", m.address_of(&dpcs[0])}});
  ASSERT_EQ(queued.size(), 1u);
  EXPECT_EQ(queued[0]["drain_requested"], wanted ? 1u : 0u) << "importance " << importance;
  EXPECT_EQ(queued[0]["target"], 1u);
  release_it = true;
  EXPECT_TRUE(m.run_until([&] { return busy.done() && runs == 1; }, kdpc::test::within(1s)));
}

KDPC_TEST(DpcRemote, ABusyTargetIsInterruptedForMediumHighAndHighOnly, .processors = 2) {
  RULE("5.2");
  RULE("TAB-1");
  RULE("TAB-3");
  expect_remote_request(m, LowImportance, false);
  expect_remote_request(m, MediumImportance, false);
  expect_remote_request(m, MediumHighImportance, true);
  expect_remote_request(m, HighImportance, true);
}

// On its own processor only Low waits, and only while that has enough to do: until the fourth.
KDPC_TEST(DpcDrain, OnItsOwnProcessorOnlyALowDpcWaitsAndOnlyForTheDepth, .options = {{"minimum_dpc_rate", "0"}},
          .simulated_only = "counts on no tick in between") {
  RULE("5.2");
  for (const KDPC_IMPORTANCE importance : {MediumImportance, MediumHighImportance, HighImportance}) {
    reset();
    m.on(0, PASSIVE_LEVEL, [importance] {
      prepare(&dpcs[0], "x", importance);
      KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
      KDPC_EXPECT_EQ(runs, 1);
    });
  }
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    for (int i = 0; i < 4; ++i) {
      prepare(&dpcs[i], "low", LowImportance);
      KDPC_EXPECT_EQ(runs, 0);
      KeInsertQueueDpc(&dpcs[i], nullptr, nullptr);
    }
    KDPC_EXPECT_EQ(runs, 4);
  });
}

KDPC_TEST(DpcRemote, AnIdleTargetIsWokenForEveryImportance, .processors = 2, .simulated_only = "says how soon") {
  RULE("TAB-1");
  for (const KDPC_IMPORTANCE importance : {LowImportance, MediumImportance, MediumHighImportance, HighImportance}) {
    reset();
    m.run_for(1ms);
    m.forget_events();
    m.on(0, PASSIVE_LEVEL, [importance] {
      prepare(&dpcs[0], "x", importance, 1);
      KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
      KeStallExecutionProcessor(100);
      KDPC_EXPECT(runs == 1);
    });
    EXPECT_GE(m.count("ipi-sent", {{"targets", 2}}), 1u);
  }
}

KDPC_TEST(DpcRemote, UnderTheOldRuleABusyTargetIsNotInterrupted, .processors = 2, .options = {{"remote_ipi", "idle_only"}}) {
  RULE("TAB-1");
  expect_remote_request(m, HighImportance, false);
}

KDPC_TEST(DpcRemote, MediumHighAsMediumIsAnOption, .processors = 2, .options = {{"medium_high_remote", "as_medium"}}) {
  RULE("TAB-3");
  expect_remote_request(m, MediumHighImportance, false);
  expect_remote_request(m, HighImportance, true);
}

// Queues Low DPCs to a busy processor within one tick; returns how many were queued when the IPI was asked for.
int low_dpcs_until_request(kdpc::lab::Machine& m) {
  reset();
  auto busy = keep_busy(m, 1);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    static char names[8][2] = {"0", "1", "2", "3", "4", "5", "6", "7"};
    for (int i = 0; i < 7; ++i) {
      prepare(&dpcs[i], names[i], LowImportance, 1);
      KeInsertQueueDpc(&dpcs[i], nullptr, nullptr);
    }
  });
  int until = 0;
  for (const auto& queued : m.events("dpc-queued", {{"target", 1}})) {
    ++until;
    if (queued["drain_requested"] != 0) break;
  }
  release_it = true;
  EXPECT_TRUE(m.run_until([&] { return busy.done() && runs == 7; }, kdpc::test::within(1s)));
  return until;
}

KDPC_TEST(DpcRemote, TheFourthLowDpcReachesTheDefaultDepth, .processors = 2, .simulated_only = "counts on no tick in between") {
  RULE("TAB-2");
  RULE("TAB-4");
  RULE("V-5");
  EXPECT_EQ(low_dpcs_until_request(m), 4);
}

KDPC_TEST(DpcRemote, WithTheOtherReadingTheFifthExceedsIt, .processors = 2, .options = {{"depth_compare", "greater"}},
          .simulated_only = "counts on no tick in between") {
  RULE("TAB-2");
  RULE("V-5");
  EXPECT_EQ(low_dpcs_until_request(m), 5);
}

VOID NTAPI queue_another(PKDPC, PVOID, PVOID, PVOID) {
  ++runs;
  prepare(&dpcs[1], "again", HighImportance);
  KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
}

KDPC_TEST(DpcDrain, NoRequestIsMadeWhileADrainRunsOrIsRequested) {
  RULE("TAB-5");
  reset();
  m.on(0, PASSIVE_LEVEL, [] { KeInitializeDpc(&dpcs[0], queue_another, nullptr); });
  m.forget_events();
  m.on(0, DISPATCH_LEVEL, [] {
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    prepare(&dpcs[2], "second", MediumImportance);
    KeInsertQueueDpc(&dpcs[2], nullptr, nullptr);  // a drain is already requested
  });
  EXPECT_EQ(m.events("dpc-queued", {{"dpc", m.address_of(&dpcs[0])}}).at(0)["drain_requested"], 1u);
  EXPECT_EQ(m.events("dpc-queued", {{"dpc", m.address_of(&dpcs[2])}}).at(0)["drain_requested"], 0u);
  EXPECT_EQ(m.events("dpc-queued", {{"dpc", m.address_of(&dpcs[1])}}).at(0)["drain_requested"], 0u);  // the drain is running
  EXPECT_EQ(order, "again second ");
}

KDPC_TEST(DpcDrain, AnIdleProcessorDrainsItsDeferredDpcs, .options = {{"minimum_dpc_rate", "0"}}, .simulated_only = "says how soon") {
  RULE("TAB-7");
  reset();
  m.on(0, DISPATCH_LEVEL, [] {
    prepare(&dpcs[0], "low", LowImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, 1ms));  // long before the next tick: the idle loop did it
}

KDPC_TEST(DpcDrain, AnotherDpcsDrainTakesTheDeferredOnesToo, .options = {{"minimum_dpc_rate", "0"}},
          .simulated_only = "counts on no tick in between") {
  RULE("TAB-7");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(&dpcs[0], "low", LowImportance);
    prepare(&dpcs[1], "medium", MediumImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KDPC_EXPECT(runs == 0);
    KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
    KDPC_EXPECT(runs == 2);
  });
  EXPECT_EQ(order, "low medium ");
}

KDPC_TEST(DpcDrain, LoweringBelowDispatchAloneDoesNotDrain, .options = {{"minimum_dpc_rate", "0"}},
          .simulated_only = "counts on no tick in between") {
  RULE("TAB-8");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    KIRQL old;
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    prepare(&dpcs[0], "low", LowImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeLowerIrql(old);
    KDPC_EXPECT(runs == 0);  // nobody asked for a DISPATCH interrupt
  });
}

KDPC_TEST(DpcIpi, TheIpiOnlyRequestsTheDispatchInterrupt, .processors = 2, .simulated_only = "asks for a state that lasts for two milliseconds") {
  RULE("IPI-1");
  reset();
  auto busy = m.start(1, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(2000); });
  m.run_for(500us);
  m.forget_events();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(&dpcs[0], "x", HighImportance, 1);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KeStallExecutionProcessor(200);
    KDPC_EXPECT(runs == 0);  // the IPI has come, but its target is at DISPATCH_LEVEL
  });
  EXPECT_EQ(m.count("activity-began", {{"kind", 5}}), 1u) << "exactly one IPI interrupt";
  EXPECT_TRUE(m.run_until([&] { return busy.done() && runs == 1; }, kdpc::test::within(1s)));
}

KDPC_TEST(DpcAdaptation, ALowDpcOnABusyProcessorWaitsAtMostOneTick, .processors = 2, .simulated_only = "says how soon") {
  RULE("ADP-1");
  reset();
  auto busy = keep_busy(m, 1);
  const auto begin = m.now();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(&dpcs[0], "low", LowImportance, 1);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KDPC_EXPECT(runs == 0);
  });
  EXPECT_TRUE(m.run_until([] { return runs == 1; }, kdpc::test::within(1s)));
  EXPECT_LE(m.now() - begin, static_cast<std::uint64_t>(std::chrono::nanoseconds(kTick).count()) + 100'000);
  release_it = true;
  m.run_until([&] { return busy.done(); }, kdpc::test::within(1s));
}

// One Low DPC per tick to a busy processor for `ticks` ticks; after each tick, its maximum depth.
std::vector<int> depths_with_one_low_dpc_per_tick(kdpc::lab::Machine& m, int ticks, int with_dpc) {
  reset();
  auto busy = keep_busy(m, 1);
  std::vector<int> depths;
  m.on(0, PASSIVE_LEVEL, [] { prepare(&dpcs[0], "low", LowImportance, 1); });
  for (int tick = 0; tick < ticks; ++tick) {
    if (tick < with_dpc) m.on(0, PASSIVE_LEVEL, [] { KeInsertQueueDpc(&dpcs[0], nullptr, nullptr); });
    const auto next = (m.now() / std::chrono::nanoseconds(kTick).count() + 1) * std::chrono::nanoseconds(kTick).count() + 1'000'000;
    m.run_for(next - m.now());
    depths.push_back(m.processor_state(1).maximum_dpc_queue_depth);
  }
  release_it = true;
  m.run_until([&] { return busy.done(); }, kdpc::test::within(1s));
  return depths;
}

KDPC_TEST(DpcAdaptation, QuietTicksRaiseWhatLeftoversHaveLowered, .processors = 2, .simulated_only = "counts ticks") {
  RULE("3.4");
  RULE("ADP-2");
  RULE("V-6");
  const std::vector<int> depths = depths_with_one_low_dpc_per_tick(m, 64, 3);
  EXPECT_EQ(depths[0], 3);
  EXPECT_EQ(depths[1], 2);
  EXPECT_EQ(depths[2], 1);
  EXPECT_EQ(depths[21], 1);
  EXPECT_EQ(depths[22], 2);  // 20 quiet ticks after the third
  EXPECT_EQ(depths[41], 2);
  EXPECT_EQ(depths[42], 3);
  EXPECT_EQ(depths[61], 3);
  EXPECT_EQ(depths[62], 4);
}

KDPC_TEST(DpcAdaptation, AColdProcessorDrainsLowDpcsAtOnce) {
  RULE("ADP-3");
  reset();
  m.on(0, PASSIVE_LEVEL, [] {
    prepare(&dpcs[0], "low", LowImportance);
    KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
    KDPC_EXPECT(runs == 1);  // the rate is 0, below the minimum of 3
  });
}

KDPC_TEST(DpcAdaptation, FourDpcsPerTickReachTheMinimumRateAndThenLowWaits, .simulated_only = "counts ticks") {
  RULE("ADP-3");
  reset();
  for (int tick = 0; tick < 12; ++tick) {
    for (int i = 0; i < 4; ++i)
      m.on(0, DISPATCH_LEVEL, [] {
        prepare(&dpcs[0], "m", MediumImportance);
        KeInsertQueueDpc(&dpcs[0], nullptr, nullptr);
      });
    const auto tick_ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(kTick).count());
    m.run_for((m.now() / tick_ns + 1) * tick_ns + 100'000 - m.now());
  }
  EXPECT_GE(m.processor_state(0).dpc_request_rate, 3u);
  m.on(0, PASSIVE_LEVEL, [] {
    runs = 0;
    prepare(&dpcs[1], "low", LowImportance);
    KeInsertQueueDpc(&dpcs[1], nullptr, nullptr);
    KDPC_EXPECT(runs == 0);
  });
}

}  // namespace
