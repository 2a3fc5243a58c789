// Durations of ISRs and DPCs, and what each wait was for.
#include "trace/latency.h"

#include <gtest/gtest.h>

#include "tests/trace/synthetic.h"
#include "trace/text_trace.h"

using namespace kdpc;
using kdpc::test::in_world;
using kdpc::test::Speaker;

namespace {

const Address kDpc = in_world(0x100), kOtherDpc = in_world(0x200), kInterrupt = in_world(0x300);
const Address kRoutine = in_world(0x1000), kOtherRoutine = in_world(0x2000), kIsr = in_world(0x3000), kCaller = in_world(0x4000);

constexpr std::uint8_t kPassive = 0, kDispatch = 2, kDevice = 5;

// What happens on one processor, at its level, in short words.
struct Story : Speaker {
  explicit Story(Latency& latency, std::uint16_t number = 0) : Speaker{latency, number} {}
  Story& level(std::uint8_t level) {
    irql = level;
    return *this;
  }
  void isr_begins(std::uint64_t time) { level(kDevice).at(time, ActivityBegan{ActivityKind::Isr, kDevice, kIsr, kInterrupt}); }
  void isr_ends(std::uint64_t time) { at(time, ActivityEnded{ActivityKind::Isr, true, kIsr, kInterrupt}); }
  void queues(std::uint64_t time, Address dpc, Address routine, std::uint16_t target = 0) { at(time, DpcQueued{dpc, routine, target, 1, 1, true}); }
  void drain_begins(std::uint64_t time) { level(kDispatch).at(time, DrainBegan{1}); }
  void drain_ends(std::uint64_t time) { at(time, DrainEnded{1}); }
  void dpc_begins(std::uint64_t time, Address dpc, Address routine) {
    level(kDispatch).at(time, ActivityBegan{ActivityKind::Dpc, kDispatch, routine, dpc});
  }
  void dpc_ends(std::uint64_t time, Address dpc, Address routine) { at(time, ActivityEnded{ActivityKind::Dpc, true, routine, dpc}); }
};

RoutineLatency of(const Latency& latency, Address routine, unsigned processor = 0) {
  for (const RoutineLatency& each : latency.routines())
    if (each.routine == routine.value && each.processor == processor) return each;
  ADD_FAILURE() << "no such routine ran on processor " << processor;
  return {};
}

std::uint64_t waited_for(const DpcRun& run, Holder::What what, bool masked) {
  std::uint64_t total = 0;
  for (const Wait& wait : run.waits)
    if (wait.whom.what == what && wait.masked == masked) total += wait.nanoseconds;
  return total;
}

}  // namespace

TEST(Latency, ExclusiveTimeLeavesOutNestedInterrupts) {
  Latency latency(1);
  Story story(latency);
  story.drain_begins(100);
  story.dpc_begins(100, kDpc, kRoutine);
  story.isr_begins(140);
  story.isr_ends(170);
  story.level(kDispatch).dpc_ends(200, kDpc, kRoutine);
  const RoutineLatency dpc = of(latency, kRoutine);
  EXPECT_EQ(dpc.inclusive.count(), 1u);
  EXPECT_EQ(dpc.inclusive.total(), 100u);
  EXPECT_EQ(dpc.exclusive.total(), 70u);
  EXPECT_EQ(of(latency, kIsr).inclusive.longest(), 30u);
  EXPECT_EQ(of(latency, kIsr).claimed, 1u);
  EXPECT_EQ(latency.time_in_isrs(0), 30u);
  EXPECT_EQ(latency.time_in_dpcs(0), 70u);
}

TEST(Latency, ASynchronizedRoutineIsItsCallersOwnTime) {
  Latency latency(1);
  Story story(latency);
  story.dpc_begins(100, kDpc, kRoutine);
  story.level(kDevice).at(110, ActivityBegan{ActivityKind::SynchronizedRoutine, kDevice, kOtherRoutine, kInterrupt});
  story.at(120, ActivityBegan{ActivityKind::ClockInterrupt, 13, Address(), Address()});
  story.at(125, ActivityEnded{ActivityKind::ClockInterrupt, true, Address(), Address()});
  story.at(150, ActivityEnded{ActivityKind::SynchronizedRoutine, true, kOtherRoutine, kInterrupt});
  story.level(kDispatch).dpc_ends(200, kDpc, kRoutine);
  EXPECT_EQ(of(latency, kRoutine).exclusive.total(), 95u);
  EXPECT_EQ(of(latency, kOtherRoutine).exclusive.total(), 35u);
}

TEST(Latency, AWaitIsSplitAndEachPartIsNamed) {
  Latency latency(1);
  Story story(latency);
  story.at(50, RoutineEntered{1, kCaller});  // KeRaiseIrql, say
  story.at(60, IrqlChanged{kPassive, kDispatch});
  story.level(kDispatch).at(70, OrderReleased{kDpc});
  story.isr_begins(100);
  story.queues(110, kDpc, kRoutine);
  story.queues(115, kOtherDpc, kOtherRoutine);
  story.isr_ends(130);
  story.level(kDispatch).at(130, OrderReleased{kDpc});  // the thread goes on at DISPATCH_LEVEL
  story.drain_begins(200);
  story.dpc_begins(205, kDpc, kRoutine);
  story.dpc_ends(300, kDpc, kRoutine);
  story.dpc_begins(310, kOtherDpc, kOtherRoutine);
  story.dpc_ends(350, kOtherDpc, kOtherRoutine);
  story.drain_ends(360);

  EXPECT_EQ(of(latency, kRoutine).delay.longest(), 95u);
  EXPECT_EQ(of(latency, kRoutine).masked.longest(), 90u);
  EXPECT_EQ(of(latency, kRoutine).behind.longest(), 5u);
  EXPECT_EQ(of(latency, kOtherRoutine).masked.longest(), 85u);
  EXPECT_EQ(of(latency, kOtherRoutine).behind.longest(), 110u);

  const auto worst = latency.worst();
  ASSERT_EQ(worst.size(), 2u);
  const DpcRun& run = worst[0];
  EXPECT_EQ(run.routine, kOtherRoutine.value);
  EXPECT_EQ(run.queued, 115u);
  EXPECT_EQ(run.allowed, 200u);
  EXPECT_EQ(run.began, 310u);
  EXPECT_EQ(run.ended, 350u);
  EXPECT_EQ(run.queued_by.what, Holder::What::Isr);
  EXPECT_EQ(run.queued_by.routine, kIsr.value);
  EXPECT_EQ(waited_for(run, Holder::What::Isr, true), 15u);
  EXPECT_EQ(waited_for(run, Holder::What::RaisedThread, true), 70u);
  EXPECT_EQ(waited_for(run, Holder::What::Dpc, false), 95u);
  EXPECT_EQ(waited_for(run, Holder::What::Drain, false), 15u);
  std::uint64_t all = 0;
  for (const Wait& wait : run.waits) all += wait.nanoseconds;
  EXPECT_EQ(all, run.began - run.queued);
  for (const Wait& wait : run.waits) {
    if (wait.whom.what == Holder::What::RaisedThread) {
      EXPECT_EQ(wait.whom.routine, kCaller.value);
    }
    if (wait.whom.what == Holder::What::Dpc) {
      EXPECT_EQ(wait.whom.routine, kRoutine.value);
    }
  }
}

TEST(Latency, AWaitOnAnotherProcessorIsForThatProcessorsWork) {
  Latency latency(2);
  Story here(latency, 0), there(latency, 1);
  there.at(10, ThreadSwitched{2, 10, WaitReason::Executive});
  there.level(kDispatch).at(20, IrqlChanged{kPassive, kDispatch});
  here.queues(30, kDpc, kRoutine, 1);
  here.at(35, DrainRequested{1});
  there.drain_begins(90);
  there.dpc_begins(90, kDpc, kRoutine);
  there.dpc_ends(95, kDpc, kRoutine);
  const auto worst = latency.worst();
  ASSERT_EQ(worst.size(), 1u);
  EXPECT_EQ(worst[0].processor, 1u);
  EXPECT_EQ(worst[0].queued_on, 0u);
  EXPECT_EQ(waited_for(worst[0], Holder::What::RaisedThread, true), 60u);
}

TEST(Latency, ADpcThatNobodyAskedToDrainSaysSo) {
  Latency latency(1);
  Story story(latency);
  story.at(10, ThreadSwitched{1, 10, WaitReason::Executive});
  story.at(20, DpcQueued{kDpc, kRoutine, 0, 0, 1, false});
  story.drain_begins(500);
  story.dpc_begins(500, kDpc, kRoutine);
  EXPECT_EQ(waited_for(latency.worst().at(0), Holder::What::NobodyAsked, true), 480u);
}

TEST(Latency, ARemovedDpcIsNoWait) {
  Latency latency(1);
  Story story(latency);
  story.queues(10, kDpc, kRoutine);
  story.at(20, DpcRemoved{kDpc, 0});
  story.queues(100, kDpc, kRoutine);
  story.drain_begins(110);
  story.dpc_begins(110, kDpc, kRoutine);
  EXPECT_EQ(of(latency, kRoutine).delay.count(), 1u);
  EXPECT_EQ(of(latency, kRoutine).delay.longest(), 10u);
}

TEST(Latency, AnInterruptsDelayEndsAtItsFirstIsr) {
  Latency latency(1);
  Story story(latency);
  story.at(1, InterruptConnected{kInterrupt, kIsr, 0x51, true});
  story.at(100, InterruptRequested{0x51, 0});
  story.isr_begins(140);
  story.isr_ends(150);
  story.isr_begins(160);
  story.isr_ends(170);
  EXPECT_EQ(of(latency, kIsr).delay.count(), 1u);
  EXPECT_EQ(of(latency, kIsr).delay.longest(), 40u);
}

TEST(Latency, AWorkItemMayEndOnAnotherProcessor) {
  Latency latency(2);
  Story here(latency, 0), there(latency, 1);
  here.at(10, ActivityBegan{ActivityKind::WorkItem, kPassive, kRoutine, kDpc});
  there.at(110, ActivityEnded{ActivityKind::WorkItem, true, kRoutine, kDpc});
  EXPECT_EQ(of(latency, kRoutine, 1).inclusive.longest(), 100u);
}

TEST(Latency, OnlyTheWatchedCompeteToBeTheWorst) {
  Latency latency(1, 1);
  latency.watch([](std::uintptr_t routine) { return routine == kRoutine.value; });
  Story story(latency);
  story.queues(0, kDpc, kRoutine);
  story.queues(0, kOtherDpc, kOtherRoutine);
  story.drain_begins(10);
  story.dpc_begins(10, kDpc, kRoutine);
  story.dpc_ends(20, kDpc, kRoutine);
  story.dpc_begins(20, kOtherDpc, kOtherRoutine);
  story.dpc_ends(30, kOtherDpc, kOtherRoutine);
  story.drain_ends(30);
  ASSERT_EQ(latency.worst().size(), 1u);
  EXPECT_EQ(latency.worst()[0].routine, kRoutine.value);
  EXPECT_EQ(of(latency, kOtherRoutine).delay.longest(), 20u);
}

TEST(Latency, KeepsOnlyTheWorst) {
  Latency latency(1, 2);
  Story story(latency);
  std::uint64_t time = 0;
  for (const std::uint64_t delay : {5, 50, 20, 90, 10}) {
    story.queues(time, kDpc, kRoutine);
    story.drain_begins(time + delay);
    story.dpc_begins(time + delay, kDpc, kRoutine);
    story.dpc_ends(time + delay + 1, kDpc, kRoutine);
    story.drain_ends(time + delay + 1);
    time += 1000;
  }
  const auto worst = latency.worst();
  ASSERT_EQ(worst.size(), 2u);
  EXPECT_EQ(worst[0].began - worst[0].queued, 90u);
  EXPECT_EQ(worst[1].began - worst[1].queued, 50u);
  EXPECT_EQ(worst[1].ended - worst[1].began, 1u);
}

TEST(Latency, RewindsToAMark) {
  Latency latency(1);
  Story story(latency);
  story.queues(10, kDpc, kRoutine);
  const std::size_t mark = latency.mark();
  story.at(20, DpcRemoved{kDpc, 0});
  latency.rewind(mark);
  story.drain_begins(60);
  story.dpc_begins(60, kDpc, kRoutine);
  EXPECT_EQ(of(latency, kRoutine).delay.longest(), 50u);
}

TEST(Durations, PercentilesAreAtMostThreePercentTooHigh) {
  Durations durations;
  for (std::uint64_t value = 1; value <= 100'000; ++value) durations.add(value);
  EXPECT_EQ(durations.count(), 100'000u);
  EXPECT_EQ(durations.longest(), 100'000u);
  EXPECT_EQ(durations.percentile(1.0), 100'000u);
  for (const double share : {0.0001, 0.1, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = share * 100'000;
    EXPECT_GE(static_cast<double>(durations.percentile(share)), exact);
    EXPECT_LE(static_cast<double>(durations.percentile(share)), exact * 1.033 + 1);
  }
}

TEST(Durations, BucketsCoverEverythingOnce) {
  Durations durations;
  for (const std::uint64_t value : {0ull, 1ull, 31ull, 32ull, 63ull, 64ull, 65ull, 1'000'000ull, ~0ull}) durations.add(value);
  std::uint64_t last = 0, count = 0;
  bool first = true;
  durations.each_bucket([&](std::uint64_t lowest, std::uint64_t highest, std::uint64_t in_it) {
    EXPECT_LE(lowest, highest);
    if (!first) {
      EXPECT_GT(lowest, last);
    }
    first = false;
    last = highest;
    count += in_it;
  });
  EXPECT_EQ(count, 9u);
  EXPECT_EQ(last, ~0ull);
}
