// What is tried, and in which order.
#include "check/explore/campaign.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "kdpc/test.h"

namespace kdpc::explore {

namespace {

// A run of one processor with four points, at each of which it can be held. The order leaves something open before the second one and before the fourth.
Lesson lesson(const std::vector<std::uint64_t>& left_open) {
  Lesson all{{}, {}, left_open};
  for (std::uint64_t step = 1; step <= 4; ++step) {
    all.points.push_back({0, step, 0x1000 + step % 3, false});
    all.options.push_back({0, step, true, {}, std::min<std::uint64_t>(step / 2, left_open.size())});
  }
  return all;
}

struct Tries {
  std::vector<std::string> asked;  // all, in order
  std::vector<std::string> tried;  // without those that are run again, to be learned from
  Coverage coverage;
};

Tries tries_of(const CampaignSettings& settings, std::size_t most, const std::vector<std::uint64_t>& left_open = {}) {
  Campaign campaign(settings);
  Tries run;
  while (run.asked.size() < most) {
    const auto attempt = campaign.next();
    if (!attempt) break;
    run.asked.push_back(text_of(attempt->schedule));
    if (attempt->schedule.empty() || !attempt->learn) run.tried.push_back(run.asked.back());
    if (attempt->learn) campaign.learned(*attempt, lesson(left_open));
    if (attempt->source == Attempt::Source::Reduction) campaign.learned(Trail());
  }
  run.coverage = campaign.coverage();
  return run;
}

constexpr CampaignSettings kTwoMoves = {.bound = 2, .wanders = false, .reduces = false};

}  // namespace

TEST(Campaign, TheDefaultOrderThenOneMoveThenTwo) {
  const Tries run = tries_of(kTwoMoves, 1000);
  // Steps 1, 2 and 3 are the first at their instructions; 4 is where 1 was.
  const std::vector<std::string> first(run.asked.begin(), run.asked.begin() + 5);
  EXPECT_EQ(first, (std::vector<std::string>{"the default order\n", "cpu0@1 hold\n", "cpu0@2 hold\n", "cpu0@3 hold\n", "cpu0@4 hold\n"}));
  EXPECT_NE(std::find(run.tried.begin(), run.tried.end(), "cpu0@2 hold\ncpu0@4 hold\n"), run.tried.end());
  EXPECT_EQ(run.coverage.complete, 2u);
  EXPECT_EQ(run.coverage.moves, 4u);
  EXPECT_EQ(run.asked.size(), 1u + 4u + 4u + 6u) << "each with one move once more, to be learned from";
}

TEST(Campaign, CountsWhatItHasTriedAndNotWhatItRunsAgainToLearn) {
  const Tries run = tries_of(kTwoMoves, 1000);
  EXPECT_THAT(run.coverage.attempts, testing::ElementsAre(1, 4, 6));
  EXPECT_EQ(run.tried.size(), 1u + 4u + 6u);
  // Not yet complete, either.
  const Tries half = tries_of(kTwoMoves, 8);
  EXPECT_THAT(half.coverage.attempts, testing::ElementsAre(1, 4, 2));
  EXPECT_EQ(half.coverage.complete, 1u);
}

TEST(Campaign, WhatTheOrderLeavesOpenIsTriedToo) {
  const Tries run = tries_of(kTwoMoves, 1000, {2, 3});
  for (const char* const schedule : {"pick 0 = 1\n", "pick 1 = 1\n", "pick 1 = 2\n", "pick 0 = 1\npick 1 = 2\n", "pick 0 = 1\ncpu0@2 hold\n",
                                     "cpu0@1 hold\npick 0 = 1\n", "cpu0@3 hold\npick 1 = 1\n", "pick 1 = 2\ncpu0@4 hold\n"})
    EXPECT_EQ(std::count(run.tried.begin(), run.tried.end(), schedule), 1) << schedule;
  // Four holds and three picks; of pairs, six of holds, two of picks, and each hold with each pick.
  EXPECT_THAT(run.coverage.attempts, testing::ElementsAre(1, 4 + 3, 6 + 2 + 4 * 3));
}

// A schedule is what its deviations are, in whichever order they stand: a Plan sorts them by what they are about.
TEST(Campaign, TriesNoOrderTwice) {
  for (const std::vector<std::uint64_t>& left_open : {std::vector<std::uint64_t>{}, {2, 3}}) {
    std::set<Schedule> different;
    Campaign campaign(kTwoMoves);
    while (const auto attempt = campaign.next()) {
      if (attempt->learn) campaign.learned(*attempt, lesson(left_open));
      if (attempt->learn && !attempt->schedule.empty()) continue;
      Schedule sorted = attempt->schedule;
      std::sort(sorted.begin(), sorted.end());
      EXPECT_TRUE(different.insert(sorted).second) << text_of(attempt->schedule);
    }
  }
}

TEST(Campaign, SeveralShareTheWorkAndTryEachExactlyOnceButForTheDefaultOrder) {
  RULE("K.EXPLORE-2");
  for (unsigned of : {2u, 3u, 7u}) {
    const Tries alone = tries_of(kTwoMoves, 1000, {2, 3});
    std::multiset<std::string> together;
    std::uint64_t attempts[3] = {};
    for (unsigned which = 0; which < of; ++which) {
      const Tries one = tries_of({.bound = 2, .wanders = false, .reduces = false, .which = which, .of = of}, 1000, {2, 3});
      together.insert(one.tried.begin(), one.tried.end());
      EXPECT_EQ(one.coverage.moves, alone.coverage.moves) << "of all together";
      for (int level = 0; level < 3; ++level) attempts[level] += one.coverage.attempts[level];
    }
    for (const std::string& one : alone.tried) EXPECT_EQ(together.count(one), one == "the default order\n" ? of : 1u) << one;
    EXPECT_EQ(together.size(), alone.tried.size() - 1 + of);
    EXPECT_THAT(attempts, testing::ElementsAre(of, alone.coverage.attempts[1], alone.coverage.attempts[2]));
  }
}

TEST(Campaign, TheSameSeedTriesTheSame) {
  EXPECT_EQ(tries_of({.seed = 7}, 500).asked, tries_of({.seed = 7}, 500).asked);
  EXPECT_NE(tries_of({.seed = 7}, 500).asked, tries_of({.seed = 8}, 500).asked);
}

// Of a run that has done nothing nothing can be turned round.
TEST(Campaign, ReducesOnceEachMoveHasBeenTriedAndSaysWhenItIsThrough) {
  const Tries run = tries_of({.bound = 2, .wanders = false}, 1000);
  const auto first = std::find(run.asked.begin(), run.asked.end(), "late\n");
  ASSERT_NE(first, run.asked.end());
  EXPECT_EQ(first - run.asked.begin(), 8) << "the default order, four moves, and three more";
  EXPECT_EQ(std::count(run.asked.begin(), run.asked.end(), "late\n"), 1);
  EXPECT_EQ(run.coverage.reduced, 1u);
  EXPECT_TRUE(run.coverage.exhaustive);
  const Tries second = tries_of({.bound = 2, .wanders = false, .which = 1, .of = 2}, 1000);
  EXPECT_EQ(second.coverage.reduced, 0u) << "one of several does it";
  EXPECT_FALSE(second.coverage.exhaustive);
  EXPECT_EQ(tries_of({.bound = 1, .wanders = false}, 1000).coverage.reduced, 1u) << "also when nothing else is left";
}

TEST(Campaign, WandersBehindTheBoundWithoutEnd) {
  const Tries run = tries_of({.bound = 1, .reduces = false}, 300);
  EXPECT_EQ(run.asked.size(), 300u);
  EXPECT_EQ(run.coverage.complete, 1u);
  EXPECT_EQ(run.coverage.wandered, 300u - 5u);
}

}  // namespace kdpc::explore
