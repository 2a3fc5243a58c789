// With an oracle the simulated machine does what it is told, one decision at a time, and the same answers give the same run.
#include "tests/machine/inside.h"

#include <algorithm>
#include <set>

#include "kernel/interrupt.h"
#include "machine/sim/choice.h"
#include "machine/sim/state.h"

namespace kdpc {

using namespace inside;

namespace {

using sim::Candidate;

// All orders of the processors, with events where time puts them; each run repeats the last one but for its last open decision.
class EveryOrder : public sim::Oracle {
 public:
  bool begin() override {
    position_ = 0;
    if (runs++ == 0) return true;
    while (!path_.empty() && path_.back().chosen + 1 == path_.back().count) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().chosen;
    return true;
  }
  std::size_t choose(std::span<const Candidate> candidates) override {
    std::vector<std::size_t> open;
    for (std::size_t index = 0; index < candidates.size(); ++index)
      if (candidates[index].kind == Candidate::Kind::Processor) open.push_back(index);
    if (candidates[0].kind != Candidate::Kind::Processor || open.size() < 2) return 0;
    if (position_ == path_.size()) path_.push_back({0, open.size()});
    return open[path_[position_++].chosen];
  }
  std::uint64_t number(std::uint64_t) override { return 0; }

  int runs = 0;

 private:
  struct Decision {
    std::size_t chosen, count;
  };
  std::vector<Decision> path_;
  std::size_t position_ = 0;
};

// Gives each kind of candidate a turn as early as it can.
class EventsFirst : public sim::Oracle {
 public:
  explicit EventsFirst(Candidate::Kind wanted) : wanted_(wanted) {}
  bool begin() override { return true; }
  std::size_t choose(std::span<const Candidate> candidates) override {
    for (std::size_t index = 0; armed && index < candidates.size(); ++index)
      if (candidates[index].kind == wanted_) {
        armed = false;
        return index;
      }
    return 0;
  }
  std::uint64_t number(std::uint64_t bound) override {
    ++numbers;
    return bound - 1;
  }
  bool armed = false;
  int numbers = 0;

 private:
  Candidate::Kind wanted_;
};

void edge() {
  if (--sim::fixed().edge_budget < 0) Machine::edge();
}

}  // namespace

TEST(SimChoice, EveryOrderOfTwoIncrementsIsFound) {
  World world({.processors = 2});
  host::run_until({}, kMillisecond);
  static volatile int shared;
  int finished = 0;
  for (unsigned number = 0; number < 2; ++number)
    start(number, Irql::Dispatch, [&] {
      Machine::stall(50'000);  // both are there
      const int before = shared;
      edge();
      shared = before + 1;
      ++finished;
    });
  host::run_until({}, 30'000);
  ASSERT_EQ(finished, 0);
  shared = 0;
  auto checkpoint = host::checkpoint();
  ASSERT_TRUE(checkpoint.ok());
  EveryOrder oracle;
  sim::set_oracle(&oracle);
  std::set<int> results;
  std::set<std::vector<std::string>> histories;
  while (oracle.begin()) {
    host::restore(**checkpoint);
    Log log;
    shared = 0;
    finished = 0;
    ASSERT_EQ(host::run_until([&] { return finished == 2; }, kSecond).how, host::Ended::ConditionMet);
    results.insert(int{shared});
    ASSERT_LT(oracle.runs, 100'000);
  }
  EXPECT_EQ(results, (std::set<int>{1, 2}));
  EXPECT_GT(oracle.runs, 4);
  sim::set_oracle(nullptr);
  host::discard(*checkpoint);
}

// Answers as the fixed order would, and asks for one step of processor 0.
class AsksForOneStep : public sim::Oracle {
 public:
  bool begin() override { return true; }
  std::size_t choose(std::span<const Candidate> candidates) override {
    for (const Candidate& candidate : candidates)
      if (candidate.kind == Candidate::Kind::Processor && candidate.number == 0) steps.push_back(candidate.step);
    return 0;
  }
  std::uint64_t number(std::uint64_t) override { return 0; }
  std::uint64_t next_question(unsigned, std::uint64_t step) override { return step < wanted ? wanted : ~std::uint64_t{0}; }
  std::uint64_t edges_between_choices() const override { return 0; }
  std::uint64_t wanted = ~std::uint64_t{0};
  std::vector<std::uint64_t> steps;
};

TEST(SimChoice, AnOracleIsAskedAtTheStepThatItWantsAndElseOnlyWhereTimeWantsIt) {
  World world;
  AsksForOneStep oracle;
  sim::set_oracle(&oracle);
  constexpr std::uint64_t kWindows = 1000, kWanted = 400;
  std::uint64_t first = 0;
  on(0, Irql::Dispatch, [&] {
    first = sim::steps_of(sim::current());
    oracle.wanted = first + kWanted;
    oracle.steps.clear();
    Machine::stall(1);  // leaves, so that the wish is heard
    for (std::uint64_t turn = 0; turn < kWindows; ++turn) Machine::window();
    EXPECT_GT(sim::steps_of(sim::current()), first + kWindows);
    EXPECT_LT(oracle.steps.size(), 10u);
    EXPECT_EQ(std::count(oracle.steps.begin(), oracle.steps.end(), first + kWanted), 1);
  });
}

TEST(SimChoice, AQuestionThatIsAnsweredByGoingOnLeavesNothingBehind) {
  std::vector<std::string> runs[2];
  for (const bool often : {false, true}) {
    World world({.processors = 2});
    EventsFirst always(Candidate::Kind::Board);  // at every step
    AsksForOneStep never;
    sim::set_oracle(often ? static_cast<sim::Oracle*>(&always) : &never);
    Log log;
    static SpinLock lock;
    lock.initialize();
    std::vector<Task> all;
    for (unsigned number = 0; number < 2; ++number)
      all.push_back(start(number, Irql::Passive, [] {
        for (int turn = 0; turn < 50; ++turn) {
          Locked<Irql::Dispatch> locked(lock);
          for (int step = 0; step < 7; ++step) Machine::window();
          Machine::stall(300);
        }
      }));
    EXPECT_EQ(host::run_until([&] { return all[0]->done && all[1]->done; }, kSecond).how, host::Ended::ConditionMet);
    host::run_until({}, kMillisecond);
    runs[often ? 1 : 0] = log.lines;
  }
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(SimChoice, AnEventMayOvertakeTheTime) {
  World world;
  EventsFirst oracle(Candidate::Kind::Clock);
  sim::set_oracle(&oracle);
  std::uint64_t turns_until_tick = 0, time = 0;
  on(0, Irql::Dispatch, [&] {
    const volatile std::uint64_t& ticks = sys().tick_count;
    const std::uint64_t before = ticks;
    const std::uint64_t next = sys().processors[0].next_clock;
    oracle.armed = true;
    while (ticks == before) {
      ++turns_until_tick;
      edge();
    }
    time = Machine::now();
    EXPECT_GE(time, next);  // and nothing is taken before it has happened
  });
  EXPECT_LT(turns_until_tick, 5u);
}

TEST(SimChoice, WithoutAWishTheOrderIsTheFixedOne) {
  std::vector<std::string> runs[2];
  for (const bool asked : {false, true}) {
    World world({.processors = 2});
    EventsFirst oracle(Candidate::Kind::Board);
    if (asked) sim::set_oracle(&oracle);
    Log log;
    static SpinLock lock;
    lock.initialize();
    std::vector<Task> all;
    for (unsigned number = 0; number < 2; ++number)
      all.push_back(start(number, Irql::Passive, [] {
        for (int turn = 0; turn < 50; ++turn) {
          Locked<Irql::Dispatch> locked(lock);
          Machine::stall(300);
        }
      }));
    EXPECT_EQ(host::run_until([&] { return all[0]->done && all[1]->done; }, kSecond).how, host::Ended::ConditionMet);
    host::run_until({}, kMillisecond);
    runs[asked ? 1 : 0] = log.lines;
  }
  EXPECT_EQ(runs[0].size(), runs[1].size());
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(SimChoice, AnOracleChoosesTheProcessorThatGetsALine) {
  World world({.processors = 2});
  EventsFirst oracle(Candidate::Kind::Board);
  static int processor;
  processor = -1;
  on(0, Irql::Passive, [] {
    InterruptSpec spec;
    spec.routine = [](Interrupt*, void*) KDPC_NTAPI -> unsigned char {
      processor = Machine::here().number;
      return 1;
    };
    spec.vector = 0x41;
    spec.irql = spec.synchronize_irql = irql_of(0x41);
    spec.trigger = Trigger::Latched;
    spec.processors = active_processors();
    Interrupt* interrupt = nullptr;
    interrupt::connect(spec, interrupt);
  });
  sim::set_oracle(&oracle);
  const unsigned line = host::add_line(false);
  host::assign_line(line, 0x41, false);
  host::set_line(line, true);
  host::run_until({}, kMillisecond);
  EXPECT_EQ(processor, 1);
  EXPECT_EQ(oracle.numbers, 1);
}

}  // namespace kdpc
