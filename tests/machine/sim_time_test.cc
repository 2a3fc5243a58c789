// Virtual time of the simulated machine: it passes through costs, stalls and waits, in one order, and nothing else moves it.
#include "tests/machine/inside.h"

#include "kernel/interrupt.h"
#include "kernel/timer.h"
#include "machine/sim/state.h"

namespace kdpc {

using namespace inside;

TEST(SimTime, AnUnknownCostIsAnErrorThatNamesTheKnownOnes) {
  const auto created = host::create({.costs = {{"isr_enter", 5}}});
  ASSERT_FALSE(created.ok());
  EXPECT_NE(created.error().what.find("isr_enter"), std::string::npos);
  EXPECT_NE(created.error().what.find("isr_entry"), std::string::npos);
}

TEST(SimTime, ASecondMachineAtTheSameTimeIsAnError) {
  World world;
  EXPECT_FALSE(host::create({}).ok());
}

TEST(SimTime, ASecondMachineAfterTheFirstIsTheSameAgain) {
  std::vector<std::string> runs[2];
  for (auto& run : runs) {
    World world({.processors = 2});
    Log log;
    on(1, Irql::Passive, [] { Machine::stall(3 * kMillisecond); });
    run = log.lines;
  }
  EXPECT_FALSE(runs[0].empty());
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(SimTime, AStallLastsAsLongAsAskedAndIsInterruptedMeanwhile) {
  World world;
  std::uint64_t before = 0, after = 0, ticks_before = 0, ticks_after = 0;
  on(0, Irql::Passive, [&] {
    before = Machine::now();
    ticks_before = sys().tick_count;
    Machine::stall(100 * kMillisecond);
    after = Machine::now();
    ticks_after = sys().tick_count;
  });
  EXPECT_GE(after - before, 100 * kMillisecond);
  EXPECT_LT(after - before, 100 * kMillisecond + 10'000);
  EXPECT_EQ(ticks_after - ticks_before, 6u);
}

TEST(SimTime, AStallAtHighHoldsTheClockOff) {
  World world;
  std::uint64_t ticks = 0;
  on(0, Irql::High, [&] {
    const std::uint64_t before = sys().tick_count;
    Machine::stall(100 * kMillisecond);
    ticks = sys().tick_count - before;
  });
  EXPECT_EQ(ticks, 0u);
}

TEST(SimTime, SixtyFourProcessorsShareTheTime) {
  World world({.processors = 64});
  std::vector<Task> all;
  for (unsigned number = 0; number < 64; ++number)
    all.push_back(start(number, Irql::Passive, [] {
      for (int turn = 0; turn < 20; ++turn) Machine::stall(50 * kMillisecond);
    }));
  const auto done = [&] {
    for (const Task& task : all)
      if (!task->done) return false;
    return true;
  };
  EXPECT_EQ(host::run_until(done, 100 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_GE(host::now(), kSecond);
  EXPECT_LT(host::now(), kSecond + kMillisecond);
}

TEST(SimTime, ALimitIsExact) {
  World world({.processors = 2});
  EXPECT_EQ(host::run_until([] { return false; }, kMillisecond).how, host::Ended::TimeLimit);
  EXPECT_EQ(host::now(), kMillisecond);
  EXPECT_EQ(host::run_until({}, 5 * kSecond).how, host::Ended::TimeLimit);
  EXPECT_EQ(host::now(), 5 * kSecond + kMillisecond);
}

// What driver code does at each edge: count the budget down, and enter the machine below zero.
void edge() {
  if (--sim::fixed().edge_budget < 0) Machine::edge();
}

TEST(SimTime, ALoopOfEdgesMeetsTheClock) {
  World world;
  bool seen = false;
  const auto outcome = on(0, Irql::Dispatch, [&] {
    const volatile std::uint64_t& ticks = sys().tick_count;
    const std::uint64_t before = ticks;
    while (ticks < before + 3) edge();
    seen = true;
  });
  EXPECT_EQ(outcome.how, host::Ended::ConditionMet) << outcome.text;
  EXPECT_TRUE(seen);
  EXPECT_GE(host::now(), 3 * kClockIncrementNanoseconds);
}

TEST(SimTime, EdgesAreTime) {
  World world({.costs = {{"edge", 7}}});
  std::uint64_t passed = 0;
  on(0, Irql::High, [&] {
    const std::uint64_t before = Machine::now();
    for (int turn = 0; turn < 1000; ++turn) edge();
    passed = Machine::now() - before;
  });
  EXPECT_EQ(passed, 7000u);
}

TEST(SimTime, TwoProcessorsShareTheTimeEdgeByEdge) {
  World world({.processors = 2});
  std::uint64_t counts[2] = {};
  bool stop = false;
  const auto count = [&](unsigned number) {
    while (!stop) {
      ++counts[number];
      edge();
    }
  };
  start(0, Irql::Dispatch, [&] { count(0); });
  start(1, Irql::Dispatch, [&] { count(1); });
  host::run_until({}, kMillisecond);
  EXPECT_GT(counts[0], 900'000u);
  EXPECT_NEAR(static_cast<double>(counts[0]), static_cast<double>(counts[1]), 20'000);
  stop = true;
  host::run_until({}, kMillisecond);
}

TEST(SimTime, TheSameRunTwiceIsTheSameToTheNanosecond) {
  std::vector<std::string> runs[2];
  for (auto& run : runs) {
    World world({.processors = 4});
    Log log;
    static SpinLock lock;
    lock.initialize();
    static int shared;
    shared = 0;
    std::vector<Task> tasks;
    for (unsigned number = 0; number < 4; ++number)
      tasks.push_back(start(number, Irql::Passive, [number] {
        for (int turn = 0; turn < 200; ++turn) {
          Locked<Irql::Dispatch> locked(lock);
          ++shared;
          for (unsigned spin = 0; spin < 10 * number; ++spin) edge();
          Machine::window();
        }
      }));
    const auto outcome = host::run_until([&] { return shared == 800; }, kSecond);
    EXPECT_EQ(outcome.how, host::Ended::ConditionMet) << outcome.text;
    host::run_until({}, kSecond);
    run = log.lines;
  }
  EXPECT_GT(runs[0].size(), 1000u);
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(SimTime, WhoTakesALockIsNotEarlierThanItsRelease) {
  World world({.processors = 2});
  static SpinLock lock;
  lock.initialize();
  std::uint64_t released = 0, acquired = 0;
  const Task first = start(0, Irql::Dispatch, [&] {
    lock.acquire_here();
    Machine::stall(kMillisecond);
    released = Machine::now();
    lock.release_here();
  });
  const Task second = start(1, Irql::Dispatch, [&] {
    Machine::stall(kMillisecond / 2);
    lock.acquire_here();
    acquired = Machine::now();
    lock.release_here();
  });
  EXPECT_EQ(host::run_until([&] { return first->done && second->done; }, kSecond).how, host::Ended::ConditionMet);
  EXPECT_GE(acquired, released);
  EXPECT_LE(acquired, released + 50);
}

TEST(SimTime, NothingLeftToHappenIsQuiescence) {
  World world({.processors = 2});
  const auto outcome = host::run_until([] { return false; }, 100 * kSecond);
  EXPECT_EQ(outcome.how, host::Ended::Quiescent);
  EXPECT_LT(host::now(), kSecond);
}

TEST(SimTime, QuiescenceNamesTheThreadThatWaitsForEver) {
  World world({.processors = 2});
  static EventObject event;
  start(1, Irql::Passive, [] {
    wait::initialize_event(event, ObjectType::SynchronizationEvent, false);
    wait::for_object(event.header, nullptr);
  });
  const auto outcome = host::run_until([] { return false; }, 100 * kSecond);
  EXPECT_EQ(outcome.how, host::Ended::Quiescent);
  EXPECT_NE(outcome.text.find("\"test\" waits for the synchronization event"), std::string::npos) << outcome.text;
}

TEST(SimTime, ATimerIsSomethingToWaitFor) {
  World world;
  bool woken = false;
  start(0, Irql::Passive, [&] {
    wait::delay(-100'000'000);  // 10 s
    woken = true;
  });
  EXPECT_EQ(host::run_until([&] { return woken; }, 100 * kSecond).how, host::Ended::ConditionMet);
  EXPECT_GE(host::now(), 10 * kSecond);
}

TEST(SimTime, ProcessorsThatSpinForEachOthersLocksAreADeadlockThatIsExplained) {
  World world({.processors = 2});
  static SpinLock locks[2];
  locks[0].initialize();
  locks[1].initialize();
  for (unsigned number = 0; number < 2; ++number)
    start(number, Irql::Dispatch, [number]() NO_PERMISSION_CHECK {
      locks[number].acquire_here();
      Machine::stall(kMillisecond);
      locks[1 - number].acquire_here();
    });
  const auto outcome = host::run_until([] { return false; }, 100 * kSecond);
  EXPECT_EQ(outcome.how, host::Ended::Deadlock);
  EXPECT_LT(host::now(), 2 * kMillisecond);
  EXPECT_NE(outcome.text.find("processor 0 waits for the lock"), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find("processor 1 waits for the lock"), std::string::npos) << outcome.text;
  EXPECT_NE(outcome.text.find("DISPATCH_LEVEL"), std::string::npos) << outcome.text;
  // For good.
  EXPECT_EQ(host::run_until([] { return true; }, kSecond).how, host::Ended::Deadlock);
}

TEST(SimTime, WhichOrderOfTheHostsObjectsIsForgottenDoesNotDependOnTheirAddresses) {
  const auto object = [](unsigned index, unsigned pitch) { return reinterpret_cast<const void*>(0x555555554010 + std::uintptr_t{index} * pitch); };
  for (const unsigned pitch : {8u, 24u, 0x1000u}) {
    const World world;
    const unsigned more = sim::kHostOrders + 1;
    for (unsigned index = 0; index < more; ++index) sim::set_order(object(index, pitch), index + 1);
    EXPECT_EQ(sim::order_of(object(0, pitch)), 0u);
    for (unsigned index = 1; index < more; ++index) EXPECT_EQ(sim::order_of(object(index, pitch)), index + 1);
  }
}

}  // namespace kdpc
