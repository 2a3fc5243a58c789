// What driver code reads and writes is heard by the sinks that want to, in one order with the facts; who listens changes nothing else.
#include "tests/machine/inside.h"

#include <map>

#include "kdpc/test.h"

#include "kernel/interrupt.h"
#include "kernel/spinlock.h"
#include "machine/sim/accesses.h"
#include "machine/sim/choice.h"

namespace kdpc {

using namespace inside;

namespace {

constexpr std::uint64_t kWrite = std::uint64_t{1} << 63, kVolatile = std::uint64_t{1} << 62, kAtomic = std::uint64_t{1} << 61;
constexpr std::uint64_t how(std::uintptr_t pc, std::uint64_t size, std::uint64_t kind = 0) { return pc | size << 48 | kind; }

// As the hooks of check variants do it.
void hook(std::uintptr_t at, std::uint64_t its_how = how(0x1234, 4)) {
  const std::int64_t left = --sim::fixed().access_budget;
  if (left < 0) {
    Machine::access(at, its_how);
  } else {
    *(sim::fixed().access_log - left - 1) = {at, its_how};
  }
}

// Facts by name and accesses by place, with the level of each.
class Heard : public EventSink {
 public:
  explicit Heard(bool wants = true) : wants_(wants) { host::add_sink(*this); }
  ~Heard() override { host::remove_sink(*this); }
  void event(const Stamp& stamp, const Event& event) override {
    std::visit([&](const auto& fact) { lines.push_back(fact.name + (" " + std::to_string(stamp.irql))); }, event);
  }
  bool wants_accesses() const override { return wants_; }
  void accesses(const Stamp& stamp, std::span<const Access> batch) override {
    EXPECT_FALSE(batch.empty());
    std::uint64_t step = stamp.step - batch.size();
    for (const Access& access : batch) {
      steps[access.at] = ++step;
      lines.push_back(std::to_string(access.at) + " " + std::to_string(stamp.irql));
      all.push_back(access);
    }
    ++batches;
    last = stamp;
    if (end_at != 0 && all.size() >= end_at) host::end_with_fact();
  }
  std::vector<std::string> lines;
  std::vector<Access> all;
  std::map<std::uintptr_t, std::uint64_t> steps;  // of the last access of each place
  std::size_t batches = 0, end_at = 0;
  Stamp last{};

 private:
  bool wants_;
};

// Without what the machine does between the lines that are asked for.
std::vector<std::string> only(const std::vector<std::string>& lines, const std::vector<std::string>& wanted) {
  std::vector<std::string> result;
  for (const std::string& line : lines)
    if (std::find(wanted.begin(), wanted.end(), line) != wanted.end()) result.push_back(line);
  return result;
}

}  // namespace

TEST(SimAccess, AnAccessSaysWhereAndHow) {
  const Access access{0x7000, how(0x410000001234, 4096, kWrite | kVolatile)};
  EXPECT_EQ(access.pc(), 0x410000001234u);
  EXPECT_EQ(access.size(), 4096u);
  EXPECT_TRUE(access.is_write());
  EXPECT_TRUE(access.is_volatile());
  EXPECT_FALSE(access.is_atomic());
  const Access other{0x7000, how(0x7fffffffffff, 1, kAtomic)};
  EXPECT_EQ(other.size(), 1u);
  EXPECT_TRUE(other.is_atomic());
  EXPECT_FALSE(other.is_write() || other.is_volatile());
}

TEST(SimAccess, AccessesAndFactsAreHeardInTheirOrder) {
  RULE("K.ACCESS-2");
  World world;
  SpinLock lock;
  lock.initialize();
  Heard heard;
  on(0, Irql::Passive, [&] {
    hook(1);
    hook(2);
    {
      Locked<Irql::Dispatch> locked(lock);
      hook(3);
    }
    hook(4);
    hook(5);
  });
  const std::vector<std::string> expected{"1 0", "2 0", "lock-acquired 2", "3 2", "lock-released 2", "4 0", "5 0"};
  EXPECT_EQ(only(heard.lines, expected), expected);
}

TEST(SimAccess, TheLevelOfAnAccessIsTheOneAtWhichItWasMade) {
  RULE("K.ACCESS-2");
  World world;
  Heard heard;
  on(0, Irql::Passive, [] {
    hook(1);
    Machine::set_irql(Irql::Apc);  // says nothing itself
    hook(2);
    Machine::set_irql(Irql::Passive);
    hook(3);
  });
  const std::vector<std::string> expected{"1 0", "2 1", "3 0"};
  EXPECT_EQ(only(heard.lines, expected), expected);
}

TEST(SimAccess, WhenTheLogIsFullTheLastOneHasNotHappenedYet) {
  World world;
  Heard heard;
  std::size_t before = 0, during = 0;
  on(0, Irql::Dispatch, [&] {
    for (std::int64_t count = 1; count < sim::accesses::kRoom; ++count) hook(7);
    before = heard.all.size();
    hook(8);
    during = heard.all.size();
    hook(9);
  });
  EXPECT_EQ(before, 0u);
  EXPECT_EQ(during, static_cast<std::size_t>(sim::accesses::kRoom));
  ASSERT_EQ(heard.all.size(), during + 1);
  EXPECT_EQ(heard.all[during - 2].at, 7u);
  EXPECT_EQ(heard.all[during - 1].at, 8u);
  EXPECT_EQ(heard.all[during].at, 9u);
}

TEST(SimAccess, AnInterruptMayComeBeforeAnAccess) {
  World world;
  constexpr std::uint8_t kVector = 0x51;
  static std::uint64_t made, taken;
  made = taken = 0;
  on(0, Irql::Passive, [] {
    connect(
        kVector,
        [](Interrupt*, void*) KDPC_NTAPI -> unsigned char {
          taken = made;
          return 1;
        },
        nullptr, ProcessorSet::only(0));
  });
  on(0, Irql::Dispatch, [] {
    sim::current().pending.add(kVector);
    sim::current().pending_levels |= 1u << (kVector >> 4);
    for (std::int64_t count = 0; count < 2 * sim::accesses::kRoom; ++count) {
      hook(1);
      ++made;
    }
  });
  EXPECT_NE(taken, 0u);
  EXPECT_LT(taken, static_cast<std::uint64_t>(sim::accesses::kRoom));
}

// Wherever the oracle asks: an access is known by one number.
class AsksEvery : public sim::Oracle {
 public:
  explicit AsksEvery(std::uint64_t stride) : stride_(stride) {}
  bool begin() override { return true; }
  std::size_t choose(std::span<const sim::Candidate> candidates) override {
    const bool both = candidates.size() >= 2 && candidates[1].kind == sim::Candidate::Kind::Processor;
    return both && candidates[0].kind == sim::Candidate::Kind::Processor ? ++asked_ % 2 : 0;
  }
  std::uint64_t number(std::uint64_t) override { return 0; }
  std::uint64_t next_question(unsigned, std::uint64_t step) override { return step + stride_; }
  std::uint64_t edges_between_choices() const override { return 0; }

 private:
  std::uint64_t stride_;
  std::size_t asked_ = 0;
};

TEST(SimAccess, AnAccessIsToldWithItsStep) {
  RULE("K.ACCESS-2");
  for (const std::uint64_t stride : {1, 2, 5}) {
    World world({.processors = 2});
    Heard heard;
    AsksEvery oracle(stride);
    host::run_until({}, kMillisecond);
    std::uint64_t first[2];
    host::set_oracle(&oracle);
    std::vector<Task> all;
    for (unsigned number = 0; number < 2; ++number)
      all.push_back(start(number, Irql::Dispatch, [number, &first] {
        first[number] = sim::steps_of(sim::current()) + 1;
        for (std::uintptr_t turn = 0; turn < 40; ++turn) hook(number * 100 + turn);
      }));
    ASSERT_EQ(host::run_until([&] { return all[0]->done && all[1]->done; }, kSecond).how, host::Ended::ConditionMet);
    host::set_oracle(nullptr);
    ASSERT_EQ(heard.steps.size(), 80u);
    for (const auto& [at, step] : heard.steps) EXPECT_EQ(step, first[at / 100] + at % 100) << at << ", stride " << stride;
  }
}

// Accesses are many, and make nothing possible: an oracle may want to be asked before the others only.
class AsksAtWindows final : public AsksEvery {
 public:
  AsksAtWindows() : AsksEvery(1) {}
  std::size_t choose(std::span<const sim::Candidate>) override {
    ++asked;
    return 0;
  }
  std::uint64_t next_question_at_access(unsigned, std::uint64_t step) override { return step < wanted ? wanted : ~std::uint64_t{0}; }
  std::uint64_t asked = 0, wanted = ~std::uint64_t{0};
};

TEST(SimAccess, AnOracleNeedNotBeAskedBeforeEachAccess) {
  World world({.processors = 2});
  Heard heard;
  AsksAtWindows oracle;
  host::run_until({}, kMillisecond);
  host::set_oracle(&oracle);
  std::uint64_t between[3] = {};
  on(0, Irql::Dispatch, [&] {
    const auto asked_in = [&](auto&& what) {
      const std::uint64_t before = oracle.asked;
      what();
      return oracle.asked - before;
    };
    const auto accesses = [] {
      for (std::uintptr_t turn = 0; turn < 40; ++turn) hook(turn);
    };
    between[0] = asked_in(accesses);
    between[1] = asked_in([] {
      for (int turn = 0; turn < 40; ++turn) Machine::window();
    });
    oracle.wanted = sim::steps_of(sim::current()) + 20;
    Machine::window();  // the wish is heard
    between[2] = asked_in(accesses);
  });
  host::set_oracle(nullptr);
  EXPECT_EQ(between[0], 0u);
  EXPECT_EQ(between[1], 40u);
  EXPECT_EQ(between[2], 1u);
}

TEST(SimAccess, OnTheHostTheLogIsEmpty) {
  RULE("K.ACCESS-1");
  World world({.processors = 2});
  Heard heard;
  volatile bool stop = false;
  for (unsigned number = 0; number < 2; ++number)
    start(number, Irql::Passive, [&stop] {
      for (std::uintptr_t turn = 0; !stop; ++turn) {
        hook(turn);
        Machine::charge(60);  // says nothing
        Machine::window();
      }
    });
  for (int cycle = 0; cycle < 100; ++cycle) {
    host::run_until({}, 1'000);
    ASSERT_EQ(sim::fixed().access_budget, 0);
    ASSERT_EQ(sim::accesses::untold(), 0);
    std::uint64_t made = 0;
    for (unsigned number = 0; number < 2; ++number) made += sim::state().slots[number].accesses;
    ASSERT_EQ(made, heard.all.size());
  }
  EXPECT_GT(heard.all.size(), 100u);
  stop = true;
  host::run_until({}, kMillisecond);
}

TEST(SimAccess, WhoListensChangesNothing) {
  RULE("K.ACCESS-3");
  std::vector<std::string> runs[3];
  for (const int listening : {0, 1, 2}) {
    World world({.processors = 2});
    Log log;
    Heard heard(listening == 1);
    static SpinLock lock;
    lock.initialize();
    std::vector<Task> all;
    for (unsigned number = 0; number < 2; ++number)
      all.push_back(start(number, Irql::Passive, [number] {
        for (std::uintptr_t turn = 0; turn < 300; ++turn) {
          for (std::uintptr_t count = 0; count < 50 + turn % 37; ++count) {
            hook(turn);
            Machine::charge(40 + number);
          }
          Locked<Irql::Dispatch> locked(lock);
          hook(1);
        }
      }));
    EXPECT_EQ(host::run_until([&] { return all[0]->done && all[1]->done; }, kSecond).how, host::Ended::ConditionMet);
    EXPECT_EQ(heard.all.empty(), listening != 1);
    runs[listening] = log.lines;
  }
  EXPECT_GT(runs[0].size(), 600u);
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
}

TEST(SimAccess, GoingBackToACheckpointBringsTheSameAccessesAgain) {
  RULE("K.ACCESS-1");
  World world({.processors = 2});
  Heard heard;
  for (unsigned number = 0; number < 2; ++number)
    start(number, Irql::Passive, [number] {
      for (std::uintptr_t turn = 0;; ++turn) {
        hook(turn * 2 + number);
        if (turn % 5 == 0) Machine::stall(200);
      }
    });
  host::run_until({}, kMillisecond);
  auto checkpoint = host::checkpoint();
  ASSERT_TRUE(checkpoint.ok());
  heard.lines.clear();
  host::run_until({}, 20'000);
  const std::vector<std::string> first = std::exchange(heard.lines, {});
  host::restore(**checkpoint);
  host::run_until({}, 20'000);
  EXPECT_GT(first.size(), 100u);
  EXPECT_EQ(first, heard.lines);
  host::discard(*checkpoint);
}

TEST(SimAccess, ASinkMayEndTheRunBeforeAnAccessHappens) {
  World world;
  Heard heard;
  heard.end_at = 1;
  std::int64_t made = 0;
  const host::Outcome outcome = on(0, Irql::Dispatch, [&] {
    for (; made < 2 * sim::accesses::kRoom; ++made) hook(1);
  });
  EXPECT_EQ(outcome.how, host::Ended::Finding);
  EXPECT_EQ(made, sim::accesses::kRoom - 1);
}

}  // namespace kdpc
