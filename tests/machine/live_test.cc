// What the live machine alone does: real time, processors that run at once, and honest refusals of the rest.
#include <atomic>
#include <chrono>
#include <thread>

#include "kernel/wait.h"
#include "tests/machine/inside.h"

namespace kdpc {

namespace {

using inside::kMillisecond;
using inside::kSecond;
using inside::on;

}  // namespace

TEST(LiveMachine, TimeIsTheHosts) {
  const inside::World world;
  const auto start = std::chrono::steady_clock::now();
  on(0, Irql::Passive, [] { Machine::stall(20 * kMillisecond); });
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST(LiveMachine, TimeStandsStillWhileTheHostDoesNotRunTheMachine) {
  const inside::World world;
  on(0, Irql::Passive, [] {});
  const std::uint64_t before = host::now();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(host::now(), before);
}

TEST(LiveMachine, ProcessorsAreRefusedThatCannotBe) {
  for (const unsigned processors : {0u, kMaxProcessors + 1}) {
    const auto created = host::create({.processors = processors});
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.error().what, "a machine has 1 to 64 processors, not " + std::to_string(processors));
  }
}

TEST(LiveMachine, EveryProcessorRunsWhatItIsGiven) {
  const inside::World world({.processors = kMaxProcessors});
  for (unsigned number = 0; number < kMaxProcessors; ++number) {
    unsigned seen = kMaxProcessors;
    on(number, Irql::Dispatch, [&] { seen = Machine::here().number; });
    EXPECT_EQ(seen, number);
  }
}

TEST(LiveMachine, ProcessorsReallyRunAtOnce) {
  const inside::World world({.processors = 2});
  std::atomic<int> turn{0};
  const auto first = inside::start(0, Irql::Dispatch, [&] {
    for (int round = 0; round < 1000; ++round) {
      while (turn != 2 * round) Machine::spin_pause({});
      ++turn;
    }
  });
  const auto second = inside::start(1, Irql::Dispatch, [&] {
    for (int round = 0; round < 1000; ++round) {
      while (turn != 2 * round + 1) Machine::spin_pause({});
      ++turn;
    }
  });
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(turn, 2000);
}

// One wakes the other, and is woken by it.
TEST(LiveMachine, HoweverAProcessorIdlesItWakes) {
  for (const host::Idle idle : {host::Idle::BackOff, host::Idle::Spin, host::Idle::Block}) {
    const inside::World world({.processors = 2, .idle = idle});
    static EventObject events[2];
    wait::initialize_event(events[0], ObjectType::SynchronizationEvent, true);
    wait::initialize_event(events[1], ObjectType::SynchronizationEvent, false);
    const auto play = [](unsigned self) {
      for (int round = 0; round < 500; ++round) {
        wait::for_object(events[self].header, nullptr);
        wait::set_event(events[1 - self], 0);
      }
    };
    const auto first = inside::start(0, Irql::Passive, [play] { play(0); });
    const auto second = inside::start(1, Irql::Passive, [play] { play(1); });
    EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  }
}

// Nothing but the host ends this.
TEST(LiveMachine, AProcessorThatSpinsForEverAtHighCanBeLookedAtAndThrownAway) {
  const inside::World world({.processors = 2});
  volatile bool there = false;
  inside::start(1, Irql::High, [&] {
    there = true;
    while (there) {
    }
  });
  EXPECT_EQ(host::run_until([&] { return there; }, 10 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(host::irql_of_processor(1), Irql::High);
  int runs = 0;
  on(0, Irql::Passive, [&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

// Code without a single window.
TEST(LiveMachine, InterruptsComeWhereverAProcessorIs) {
  const inside::World world;
  std::uint64_t ticks = 0;
  on(0, Irql::Dispatch, [&] {
    const std::uint64_t before = sys().tick_count;
    while (sys().tick_count < before + 2) {
    }
    ticks = sys().tick_count - before;
  });
  EXPECT_GE(ticks, 2u);
}

namespace {

// Counts Stalled facts with a given mark, and sees whether time ever goes back.
class Counter : public EventSink {
 public:
  Counter() { host::add_sink(*this); }
  ~Counter() override { host::remove_sink(*this); }
  void event(const Stamp& stamp, const Event& event) override {
    if (stamp.time < last_) ++out_of_order;
    last_ = stamp.time;
    if (std::holds_alternative<Stalled>(event)) ++told[stamp.processor];
  }
  std::uint64_t told[2] = {}, out_of_order = 0;

 private:
  std::uint64_t last_ = 0;
};

constexpr unsigned kMany = 60'000;  // more than there is room for between two looks of the host

void state_many() {
  for (unsigned index = 0; index < kMany; ++index) Machine::observe(Stalled{0});
}

}  // namespace

TEST(LiveMachine, FactsOfAllProcessorsAreToldInOrderOfTimeAndNoneIsLostBelowSynch) {
  const inside::World world({.processors = 2});
  Counter counter;
  const auto first = inside::start(0, Irql::Dispatch, state_many);
  const auto second = inside::start(1, Irql::Passive, state_many);
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, 20 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_EQ(counter.told[0] + counter.told[1], 2 * kMany);
  EXPECT_EQ(counter.out_of_order, 0u);
  EXPECT_EQ(host::facts_lost(), 0u);
}

TEST(LiveMachine, FactsThatFindNoRoomAboveAreCounted) {
  const inside::World world;
  Counter counter;
  on(0, Irql::High, state_many);
  EXPECT_GE(counter.told[0] + host::facts_lost(), kMany);
}

TEST(LiveMachine, CostsAreRefusedAsTheyAreOfVirtualTime) {
  const auto created = host::create({.costs = {{"isr_entry", 1}}});
  ASSERT_FALSE(created.ok());
  EXPECT_NE(created.error().what.find("isr_entry"), std::string::npos);
}

TEST(LiveMachine, ACheckpointIsRefusedWithASentence) {
  const inside::World world;
  const auto taken = host::checkpoint();
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.error().what.find("simulated machine"), std::string::npos);
}

// Driver code is compiled to count the first word of the World down; here a loop does what the compiler would add.
TEST(LiveMachine, EdgesOfDriverCodeMeetTheClock) {
  const inside::World world;
  auto& budget = *reinterpret_cast<volatile std::int64_t*>(0x400000000000);
  std::uint64_t ticks = 0;
  on(0, Irql::Dispatch, [&] {
    const std::uint64_t before = sys().tick_count;
    while (sys().tick_count < before + 2) {
      budget = budget - 1;
      if (budget < 0) Machine::edge();
    }
    ticks = sys().tick_count - before;
  });
  EXPECT_GE(ticks, 2u);
}

}  // namespace kdpc
