// Small scenarios: every order that differs in something is tried, and none is missed.
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "check/explore/bounded.h"
#include "check/explore/dpor.h"
#include "kdpc/device.h"
#include "kdpc/test.h"
#include "lab/explore.h"
#include "tests/drivers/orders/orders.h"

using namespace std::chrono_literals;
using namespace kdpc;

namespace {

ORDERS_TABLE* table;

}  // namespace

extern "C" VOID NTAPI TestOrdersTable(ORDERS_TABLE* Table) { table = Table; }

namespace {

// Two cards that do something once, if they are asked to: pulse a line, write two words by itself, or change one as only this card does.
class Once final : public Board {
 public:
  void attach(BoardHost& host) override { host_ = &host; }
  std::span<Device* const> devices() override { return {}; }
  unsigned lines() const override { return 2; }
  bool line_is_level(unsigned) const override { return false; }
  Nanoseconds next_event() const override { return std::min(due_[0], due_[1]); }
  Nanoseconds advance_to(Nanoseconds until) override { return advance_source(due_[1] < due_[0] ? 1 : 0, until); }
  unsigned sources() const override { return 2; }
  Nanoseconds next_event_of(unsigned card) const override { return due_[card]; }
  Nanoseconds advance_source(unsigned card, Nanoseconds until) override {
    if (due_[card] > until) return until;
    const Nanoseconds reached = due_[card];
    due_[card] = kNever;
    ORDERS_RESULT& result = *table->Result;
    switch (does_) {
      case Does::Pulse:
        host_->set_line(line_, true);
        host_->set_line(line_, false);
        break;
      case Does::Write:
        write(result.X, 1);
        write(result.Flag, 1);
        break;
      case Does::Change:
        host_->dma_accessed(reinterpret_cast<const std::byte*>(&result.X), sizeof result.X, false);
        write(result.X, 3 * result.X + static_cast<LONG>(card) + 1);
        break;
    }
    return reached;
  }
  std::span<std::byte> state() override { return std::as_writable_bytes(std::span(due_)); }
  bool can_rewind() const override { return true; }
  void plan_pulse(unsigned line, Nanoseconds when) {
    does_ = Does::Pulse;
    line_ = line;
    due_[0] = when;
  }
  void plan_writes(Nanoseconds when) {
    does_ = Does::Write;
    due_[0] = when;
  }
  void plan_changes(Nanoseconds when) {
    does_ = Does::Change;
    due_[0] = when;
    due_[1] = when + 100;
  }

 private:
  void write(LONG& word, LONG value) {
    host_->dma_accessed(reinterpret_cast<const std::byte*>(&word), sizeof word, true);
    word = value;
  }
  BoardHost* host_ = nullptr;
  unsigned line_ = 0;
  enum class Does { Pulse, Write, Change } does_ = Does::Pulse;
  Nanoseconds due_[2] = {kNever, kNever};
};

// The final state of the driver's data, and how the run failed, if it did.
using Outcomes = std::set<std::string>;

std::string outcome_of(const lab::Execution& execution) {
  const ORDERS_RESULT& result = *table->Result;
  char text[200];
  std::snprintf(text, sizeof text, "X=%d Y=%d Flag=%d Seen=%d,%d,%d,%d Ended=%x %s", result.X, result.Y, result.Flag, result.Seen[0], result.Seen[1],
                result.Seen[2], result.Seen[3], result.Ended, execution.key.c_str());
  return text;
}

constexpr unsigned kActivities = 3;
constexpr std::uint64_t kMost = 24'000, kMostMoves = 3'000, kMostOfOne = 3'000;  // schedules
constexpr int kPrograms = 40;

// What each processor's activity does, routine by routine.
struct Program {
  std::string name;
  std::vector<ORDERS_ROUTINE*> routines[kActivities];
  unsigned interrupts = 0;  // as in ORDERS_SCENARIO
  bool ticks = false;
  ORDERS_ROUTINE* before = nullptr;
};

Program program_of(const ORDERS_SCENARIO& scenario) {
  Program program{scenario.Name, {}, scenario.Interrupts, scenario.Ticks != FALSE, scenario.Before};
  ORDERS_ROUTINE* const routines[kActivities] = {scenario.First, scenario.Second, scenario.Third};
  for (unsigned number = 0; number < kActivities; ++number)
    if (routines[number] != nullptr) program.routines[number] = {routines[number]};
  return program;
}

class Runs {
 public:
  // The driver tells of its scenarios and operations when it is loaded.
  template <class Choose>
  explicit Runs(const Choose& choose) {
    lab::Config config;
    config.processors = kActivities;
    config.checks.on = false;  // a driver that is written to go wrong
    std::string why;
    m_ = lab::Machine::create(config, why);
    if (m_ == nullptr) return;
    const unsigned line = m_->attach(board_);
    m_->assign_line(line, 0x51, false);
    m_->assign_line(line + 1, 0x61, false);
    if (!m_->load_driver(std::string(KDPC_TEST_DRIVERS) + "/check/orders.drv", why)) return;
    program_ = choose();
    if (program_.before != nullptr) m_->on(0, PASSIVE_LEVEL, [this] { program_.before(); });
    // Each on its processor, and at its start: how threads begin is not to be explored.
    for (unsigned number = 0; number < kActivities; ++number) {
      if (program_.routines[number].empty()) continue;
      wanted_ |= 1 << number;
      m_->start(number, PASSIVE_LEVEL, [this, number] {
        arrived_ |= 1 << number;
        while (!running_) KeStallExecutionProcessor(1);
        for (ORDERS_ROUTINE* const routine : program_.routines[number]) routine();
        table->Result->Ended |= 1 << number;  // host code: nobody comes between
        KeStallExecutionProcessor(100'000);   // how threads end is not to be explored either
      });
    }
    m_->run_until([&] { return arrived_ == wanted_; }, 10ms);
    explorer_ = lab::Explorer::create(*m_, {[this](lab::Machine& machine) { return live(machine); }}, why);
  }
  const std::string& name() const { return program_.name; }
  bool is_ready() const { return explorer_ != nullptr; }

  // How many schedules it took; 0: it has not come to an end.
  std::uint64_t by_dpor(explore::Dpor::Reduce reduce, std::uint64_t most, Outcomes& outcomes) {
    explore::Dpor search(reduce);
    explore::Trail trail;
    tail_ = program_.ticks ? 20ms : 5ms;
    trail_ = reduce == explore::Dpor::Reduce::No ? &trail : nullptr;
    while (search.tried() < most) {
      const auto schedule = search.next();
      if (!schedule) return search.lost_its_way() ? 0 : search.tried();
      const lab::Execution one = explorer_->run(*schedule, trail);
      EXPECT_EQ(one.missed, 0u) << text_of(*schedule);
      count(one, outcomes);
      search.learned(trail);
      if (reduce == explore::Dpor::Reduce::Yes) {
        EXPECT_EQ(explorer_->run(*schedule).hash, one.hash) << "seen again: " << text_of(*schedule);
      }
    }
    return 0;
  }

  std::uint64_t by_moves(std::uint64_t most, Outcomes& outcomes) {
    explore::Bounded search(1000);
    trail_ = nullptr;
    tail_ = 100ms;
    for (std::uint64_t tried = 0; tried < most; ++tried) {
      const auto attempt = search.next();
      if (!attempt) return tried;
      const lab::Execution one = explorer_->run(attempt->schedule, attempt->learn);
      if (attempt->learn) search.learned(attempt->schedule, explorer_->lesson());
      count(one, outcomes);
    }
    return 0;
  }

 private:
  void count(const lab::Execution& one, Outcomes& outcomes) const {
    if (!is_cut_) outcomes.insert(outcome_of(one));
  }
  std::string live(lab::Machine& m) {
    running_ = true;  // the host's: it stays, though the machine goes back
    if (program_.interrupts == ORDERS_DMA) {
      board_.plan_writes(m.now() + 200'000);
    } else if (program_.interrupts == ORDERS_TWO_CARDS) {
      board_.plan_changes(m.now() + 200'000);
    } else if (program_.interrupts != 0) {
      board_.plan_pulse(program_.interrupts - 1, m.now() + 200'000);
    }
    m.run_until([this] { return table->Result->Ended == wanted_; }, program_.ticks ? 45ms : 1s);
    is_cut_ = m.outcome().how == lab::Ended::TimeLimit;
    if (trail_ != nullptr) trail_->end();
    m.run_until([] { return false; }, tail_);
    return {};
  }
  Once board_;
  std::unique_ptr<lab::Machine> m_;
  std::unique_ptr<lab::Explorer> explorer_;
  Program program_;
  std::chrono::milliseconds tail_{};  // for what comes late, and who is held
  explore::Trail* trail_ = nullptr;
  int arrived_ = 0, wanted_ = 0;
  bool is_cut_ = false;  // time was up before the activities had done what they do, as the clock was made to come so often
  bool running_ = false;
};

auto scenario(std::size_t which) {
  return [which] { return program_of(table->Scenarios[which]); };
}

std::string text_of(const Outcomes& outcomes) {
  std::string text;
  for (const std::string& outcome : outcomes) text += outcome + "\n";
  return text;
}

}  // namespace

TEST(Dpor, FindsWhatThereIsInFewSchedules) {
  RULE("K.DPOR-1");
  RULE("K.DPOR-2");
  RULE("K.DPOR-3");
  RULE("K.DPOR-4");
  RULE("K.DPOR-5");
  for (std::size_t which = 0; which < ORDERS_SCENARIOS; ++which) {
    Runs runs(scenario(which));
    ASSERT_TRUE(runs.is_ready());
    Outcomes outcomes;
    const std::uint64_t schedules = runs.by_dpor(explore::Dpor::Reduce::Yes, 1000, outcomes);
    EXPECT_EQ(outcomes.size(), table->Scenarios[which].Outcomes) << runs.name() << "\n" << text_of(outcomes);
    EXPECT_NE(schedules, 0u) << runs.name();
    EXPECT_LE(schedules, 60u) << runs.name();
    if (which == 0) {
      EXPECT_EQ(schedules, 1u) << "two that have nothing to do with each other";
    }
  }
}

class Exhaustive : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Exhaustive, FindsEveryOutcomeInFewSchedules) {
  Runs runs(scenario(GetParam()));
  ASSERT_TRUE(runs.is_ready());
  Outcomes all, reduced;
  const std::uint64_t by_reduced = runs.by_dpor(explore::Dpor::Reduce::Yes, kMost, reduced);
  const std::uint64_t by_all = runs.by_dpor(explore::Dpor::Reduce::No, kMost, all);
  std::printf("%-20s %zu outcomes by %lu schedules, of %s%lu\n", runs.name().c_str(), reduced.size(), by_reduced, by_all == 0 ? "more than " : "",
              by_all == 0 ? kMost : by_all);
  ASSERT_NE(by_reduced, 0u) << "it comes to an end";
  EXPECT_THAT(reduced, ::testing::IsSupersetOf(all));
  if (by_all != 0) {
    EXPECT_EQ(reduced, all);
    EXPECT_LT(by_reduced, by_all);
  }
}

// Moves lie where memory is seen to be shared in the run that they are added to; so where the search has no end in sight, something may be missing.
TEST_P(Exhaustive, AnyNumberOfMovesFindsTheSame) {
  Runs runs(scenario(GetParam()));
  ASSERT_TRUE(runs.is_ready());
  Outcomes reduced, moved;
  ASSERT_NE(runs.by_dpor(explore::Dpor::Reduce::Yes, kMost, reduced), 0u);
  const std::uint64_t by_moves = runs.by_moves(kMostMoves, moved);
  std::printf("%-20s %zu outcomes by %s%lu schedules of moves\n", runs.name().c_str(), moved.size(), by_moves == 0 ? "more than " : "",
              by_moves == 0 ? kMostMoves : by_moves);
  EXPECT_THAT(reduced, ::testing::IsSupersetOf(moved));
  if (by_moves != 0) {
    EXPECT_EQ(moved, reduced);
  }
}

INSTANTIATE_TEST_SUITE_P(Small, Exhaustive, ::testing::Range(std::size_t{0}, std::size_t{ORDERS_SCENARIOS}));

// Whatever two processors and an interrupt do, if both searches come to an end.
TEST(Dpor, FindsWhatThereIsInProgramsDrawnAtRandom) {
  std::uint64_t state = 1;
  const auto draw = [&state](std::uint64_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (state >> 33) % bound;
  };
  unsigned ended = 0, compared = 0;
  for (int number = 0; number < kPrograms; ++number) {
    std::string text;
    Runs runs([&] {
      Program program{.interrupts = static_cast<unsigned>(draw(2))};
      for (unsigned processor = 0; processor < 2; ++processor)
        for (std::uint64_t count = 1 + draw(2); count != 0; --count) {
          const std::uint64_t which = draw(ORDERS_OPERATIONS);
          program.routines[processor].push_back(table->Operations[which]);
          text += std::to_string(which) + (count == 1 ? "; " : " ");
        }
      text += "interrupts " + std::to_string(program.interrupts);
      return program;
    });
    ASSERT_TRUE(runs.is_ready());
    Outcomes all, reduced;
    const std::uint64_t by_reduced = runs.by_dpor(explore::Dpor::Reduce::Yes, kMostOfOne, reduced);
    const std::uint64_t by_all = runs.by_dpor(explore::Dpor::Reduce::No, kMostOfOne, all);
    if (by_reduced == 0) continue;
    ++ended;
    EXPECT_THAT(reduced, ::testing::IsSupersetOf(all)) << text;
    if (by_all == 0) continue;
    ++compared;
    EXPECT_EQ(reduced, all) << text;
  }
  std::printf("%u of %d programs: nothing is missing; %u of them: every order was tried\n", ended, kPrograms, compared);
  EXPECT_GT(ended, kPrograms / 2u);
}
