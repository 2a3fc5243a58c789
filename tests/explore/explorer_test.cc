// The whole: lives of real drivers, run in many orders.
#include "lab/explore.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <set>

#include "check/explore/campaign.h"
#include "check/explore/shrink.h"
#include "kdpc/cards.h"
#include "kdpc/test.h"
#include "lab/shortest.h"
#include "machine/sanitizer.h"

using namespace std::chrono_literals;
using namespace kdpc;
using namespace kdpc::test;

namespace {

// Of a driver of the museum, with the card that interrupts by itself.
std::string begin(lab::Machine& m, const std::string& driver) {
  std::string why;
  if (!m.load_driver(KDPC_TEST_DRIVERS "/check/museum_" + driver + ".drv", why)) return why;
  return m.start_device("card", "museum_" + driver, why) ? std::string() : why;
}
std::string go_on(lab::Machine& m) {
  m.run_until([] { return false; }, 3ms);
  return {};
}
std::string end(lab::Machine& m, const std::string& driver) {
  std::string why;
  return m.unload_driver("museum_" + driver, why) ? std::string() : why;
}
lab::Explorer::Life life(const std::string& driver) {
  return {[driver](lab::Machine& m) { return begin(m, driver); }, go_on, [driver](lab::Machine& m) { return end(m, driver); }};
}

std::unique_ptr<cards::CardBoard> card(lab::Machine& m, std::uint64_t first = 100'000) {
  auto board = std::make_unique<cards::CardBoard>();
  board->add(cards::PulseWish{.name = "card", .first = first, .period = 100'000, .count = 6});
  m.attach(*board);
  return board;
}

// The first failure of a campaign of so many schedules.
std::optional<std::pair<explore::Schedule, lab::Execution>> find(lab::Explorer& explorer, std::uint64_t most, std::uint64_t seed = 1) {
  explore::Campaign campaign({.seed = seed});
  for (std::uint64_t tried = 0; tried < most; ++tried) {
    const auto attempt = campaign.next();
    if (!attempt) return {};
    lab::Execution execution = explorer.carry_out(*attempt, campaign);
    if (!execution.failure.empty()) return std::pair{attempt->schedule, std::move(execution)};
  }
  return {};
}

}  // namespace

KDPC_TEST(Explorer, TheSameScheduleIsTheSameRun, .processors = 2) {
  const auto board = card(m);
  std::string why;
  const auto explorer = lab::Explorer::create(m, life("fifo_count_fixed"), why);
  ASSERT_NE(explorer, nullptr) << why;
  explore::Campaign campaign({.reduces = false});
  std::map<std::string, std::uint64_t> hashes;
  std::set<std::uint64_t> different;
  for (int tried = 0; tried < 300; ++tried) {
    const auto attempt = campaign.next();
    ASSERT_TRUE(attempt);
    const lab::Execution one = explorer->carry_out(*attempt, campaign);
    EXPECT_EQ(one.failure, "");
    hashes[text_of(attempt->schedule)] = one.hash;
    different.insert(one.hash);
  }
  EXPECT_GT(different.size(), 50u);
  for (bool learn : {false, true}) {  // which changes nothing
    explore::Campaign again({.reduces = false});
    for (int tried = 0; tried < 300; ++tried) {
      const auto attempt = again.next();
      EXPECT_EQ(explorer->run(attempt->schedule, learn || attempt->learn).hash, hashes[text_of(attempt->schedule)]) << text_of(attempt->schedule);
      if (attempt->learn) again.learned(*attempt, explorer->lesson());
    }
  }
}

namespace {

// What came of one attempt, in words.
std::string words_of(const lab::Execution& execution, const std::optional<explore::Lesson>& lesson) {
  std::string words = fmt::format("{:016x} {} | {} | missed {}", execution.hash, execution.failure, execution.key, execution.missed);
  if (!lesson) return words;
  for (const explore::Point& point : lesson->points) words += fmt::format(" {}@{} {:x} {}", point.processor, point.step, point.pc, point.timers);
  for (const explore::Options& options : lesson->options) {
    words += fmt::format(" | {}@{} {} {}:", options.processor, options.step, options.others_can_go_on, options.left_open);
    for (const explore::Deviation& event : options.events) words += " " + text_of(event);
    for (const explore::Deviation& delay : options.delays) words += " " + text_of(delay);
  }
  return words + fmt::format(" | {}", fmt::join(lesson->left_open, " "));
}

struct Tried {
  std::vector<std::pair<std::string, std::string>> attempts;  // its schedule, and what came of it
  int begun = 0, ended = 0;                                   // the driver was loaded and unloaded so often
};

// So many attempts of a campaign, whatever fails, with a life in three parts or in one.
Tried try_all(lab::Machine& m, const std::string& driver, bool in_parts, int count) {
  Tried tried;
  const lab::Explorer::Life parts = {[&](lab::Machine& machine) { return ++tried.begun, begin(machine, driver); }, go_on,
                                     [&](lab::Machine& machine) { return ++tried.ended, end(machine, driver); }};
  const auto whole = [&](lab::Machine& machine) {
    std::string refused;
    for (const lab::Explorer::Part& part : parts)
      if (refused.empty() && !machine.outcome().over()) refused = part(machine);
    return refused;
  };
  std::string why;
  const auto start = m.mark(why);
  auto explorer = lab::Explorer::create(m, in_parts ? parts : lab::Explorer::Life{whole}, why);
  EXPECT_NE(explorer, nullptr) << why;
  explore::Campaign campaign({.reduces = false, .of = 9});  // soon at two moves, and at random ones
  for (int attempts = 0; attempts < count; ++attempts) {
    const auto attempt = campaign.next();
    if (!attempt) break;
    const lab::Execution execution = explorer->run(attempt->schedule, attempt->learn);
    const auto lesson = attempt->learn ? std::optional(explorer->lesson()) : std::nullopt;
    tried.attempts.emplace_back(text_of(attempt->schedule), words_of(execution, lesson));
    if (lesson) campaign.learned(*attempt, *lesson);
  }
  explorer.reset();
  m.rewind(*start);
  return tried;
}

void is_the_same_in_parts(lab::Machine& m) {
  RULE("K.EXPLORE-5");
  for (const char* driver : {"fifo_count", "flag_before_data", "lost_wakeup", "isr_before_ready", "workitem_requeued_fixed"}) {
    const Tried once = try_all(m, driver, false, 300);
    const Tried in_parts = try_all(m, driver, true, 300);
    ASSERT_EQ(once.attempts.size(), in_parts.attempts.size()) << driver;
    for (std::size_t number = 0; number < once.attempts.size(); ++number)
      ASSERT_EQ(once.attempts[number], in_parts.attempts[number]) << driver << ", attempt " << number;
    EXPECT_EQ(once.begun, static_cast<int>(once.attempts.size()));
    EXPECT_EQ(once.ended, in_parts.ended);
    EXPECT_GT(in_parts.begun, 1) << driver;  // there are orders to try before the device is started
    EXPECT_LT(in_parts.begun, once.begun - 10) << driver;
  }
}

}  // namespace

KDPC_TEST(Explorer, ARunThatGoesOnBehindStartIsTheSameRun, .processors = 2) {
  const auto board = card(m);
  is_the_same_in_parts(m);
}

KDPC_TEST(Explorer, ARunThatGoesOnBehindStartIsTheSameRunForASearchThatRemembersNothing, .processors = 2, .remember_events = 0,
          .checks = {.races = lab::Checks::Races::Certain}) {
  const auto board = card(m, 10);  // interrupts while the device is being started
  is_the_same_in_parts(m);
}

KDPC_TEST(Explorer, APickInAPartThatAnotherRunHasBehindItIsMadeAllTheSame, .processors = 2, .remember_events = 0) {
  RULE("K.EXPLORE-5");
  cards::CardBoard board;
  board.add(cards::PulseWish{.name = "card", .messages = 2, .first = 100'000, .period = 100'000, .count = 6});
  m.attach(board);
  std::string why;
  const auto explorer = lab::Explorer::create(m, life("isr_two_messages_fixed"), why);
  ASSERT_NE(explorer, nullptr) << why;
  const std::uint64_t by_default = explorer->run({}, true).hash;
  ASSERT_FALSE(explorer->lesson().left_open.empty());
  EXPECT_EQ(explorer->run({}).hash, by_default);
  EXPECT_NE(explorer->run({{explore::Deviation::Kind::Pick, 0, 0, 1}}).hash, by_default);
}

KDPC_TEST(Explorer, FindsTheRaceThatTheDefaultOrderHidesAndShowsItAgain, .processors = 1) {
  const auto board = card(m);
  std::string why;
  const auto explorer = lab::Explorer::create(m, life("fifo_count"), why);
  ASSERT_NE(explorer, nullptr) << why;
  const auto found = find(*explorer, 2000);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->first.empty());
  const explore::Schedule least =
      explore::shrink(found->first, [&](const explore::Schedule& shorter) { return explorer->run(shorter).key == found->second.key; });
  EXPECT_LE(least.size(), 2u);
  const std::uint64_t hash = explorer->run(least).hash;
  for (int turn = 0; turn < 50; ++turn) EXPECT_EQ(explorer->run(least).hash, hash);
  EXPECT_EQ(explorer->run({}).failure, "");
}

KDPC_TEST(Explorer, AnOrderOfManyDeviationsGivesWayToAShorterOneThatFailsAlike, .processors = 2) {
  const auto board = card(m, 20'000);
  std::string why;
  const auto explorer = lab::Explorer::create(m, life("remove_queue_false"), why);
  ASSERT_NE(explorer, nullptr) << why;
  bool any_was_long = false;
  for (std::uint64_t seed = 1; seed <= 200 && !any_was_long; ++seed) {
    const auto found = find(*explorer, 2000, seed);
    ASSERT_TRUE(found) << seed;
    const auto fails = [&](const explore::Schedule& shorter) { return explorer->run(shorter).key == found->second.key; };
    const explore::Schedule needed = explore::shrink(found->first, fails);
    const lab::Shortest shortest = lab::shortest(*explorer, found->first, found->second, [] { return false; });
    EXPECT_TRUE(fails(shortest.schedule)) << text_of(shortest.schedule);
    EXPECT_LE(shortest.schedule.size(), needed.size());
    EXPECT_LE(shortest.schedule.size(), 3u) << text_of(shortest.schedule);
    any_was_long = needed.size() > 3;
    EXPECT_EQ(lab::shortest(*explorer, found->first, found->second, [] { return true; }).schedule, found->first) << "enough from the beginning";
  }
  EXPECT_TRUE(any_was_long) << "otherwise nothing was to be done here";
  EXPECT_EQ(explorer->run({}).failure, "");
}

// What a call has left behind on a stack is found by one that reads a variable which it has not initialised; deeper than others come, with a sanitizer too.
KDPC_NO_ASAN __attribute__((noinline)) int on_the_stack(int left) {
  volatile int there[2048];
  if (left != 0)
    for (volatile int& one : there) one = left;
  return there[16];
}

KDPC_TEST(Explorer, WhatIsRunAloneFindsNothingOfOthersOnItsStacks, .processors = 1) {
  RULE("K.EXPLORE-10");
  int left = 0, found = 0;
  std::string why;
  const auto explorer = lab::Explorer::create(m, {[&](lab::Machine& machine) {
                                                machine.on(0, lab::Level(0), [&] { found = on_the_stack(left); });
                                                return std::string();
                                              }},
                                              why);
  ASSERT_NE(explorer, nullptr) << why;
  for (const int mark : {0x1234, 0x5678}) {
    left = mark;
    explorer->run({});
    left = 0;
    explorer->run({});
    EXPECT_EQ(found, mark) << "it is not taken back";
    explorer->run_alone({});
    EXPECT_EQ(found, 0);
  }
}

KDPC_TEST(Explorer, ATwinThatIsRightStaysSilent, .processors = 1) {
  const auto board = card(m);
  std::string why;
  const auto explorer = lab::Explorer::create(m, life("fifo_count_fixed"), why);
  ASSERT_NE(explorer, nullptr) << why;
  const auto found = find(*explorer, 1500);
  EXPECT_FALSE(found) << found->second.failure;
}
