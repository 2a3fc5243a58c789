// What is tried, and in which order.
#include "check/explore/campaign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

// A run of one processor with four points, at each of which it can be held.
Lesson lesson(const std::vector<std::uint64_t>& left_open) {
  Lesson all{{}, {}, left_open};
  for (std::uint64_t step = 1; step <= 4; ++step) {
    all.points.push_back({0, step, 0x1000 + step % 3, false});
    all.options.push_back({0, step, true, {}});
  }
  return all;
}

std::vector<std::string> tried(const CampaignSettings& settings, std::size_t most, Coverage* coverage = nullptr,
                               const std::vector<std::uint64_t>& left_open = {}) {
  Campaign campaign(settings);
  std::vector<std::string> all;
  while (all.size() < most) {
    const auto attempt = campaign.next();
    if (!attempt) break;
    all.push_back(text_of(attempt->schedule));
    if (attempt->learn) campaign.learned(attempt->schedule, lesson(left_open));
  }
  if (coverage != nullptr) *coverage = campaign.coverage();
  return all;
}

}  // namespace

TEST(Campaign, TheDefaultOrderThenOneMoveThenTwo) {
  Coverage coverage;
  const auto all = tried({.bound = 2, .wanders = false}, 1000, &coverage);
  // Steps 1, 2 and 3 are the first at their instructions; 4 is where 1 was.
  const std::vector<std::string> first(all.begin(), all.begin() + 5);
  EXPECT_EQ(first, (std::vector<std::string>{"the default order\n", "cpu0@1 hold\n", "cpu0@2 hold\n", "cpu0@3 hold\n", "cpu0@4 hold\n"}));
  EXPECT_NE(std::find(all.begin(), all.end(), "cpu0@2 hold\ncpu0@4 hold\n"), all.end());
  EXPECT_EQ(coverage.complete, 2u);
  EXPECT_EQ(coverage.moves, 4u);
  // 1, 4, each of those once more to be learned from, and the six pairs.
  EXPECT_EQ(all.size(), 1u + 4u + 4u + 6u);
}

TEST(Campaign, WhatTheOrderLeavesOpenIsTriedToo) {
  const auto all = tried({.bound = 2, .wanders = false}, 1000, nullptr, {2, 3});
  for (const char* const pick :
       {"pick 0 = 1\n", "pick 1 = 1\n", "pick 1 = 2\n", "pick 0 = 1\npick 1 = 2\n", "cpu0@2 hold\npick 1 = 1\n", "pick 0 = 1\ncpu0@4 hold\n"})
    EXPECT_EQ(std::count(all.begin(), all.end(), pick), std::string(pick).find('\n') + 1 == std::string(pick).size() ? 2 : 1)
        << pick;  // once more to be learned from
}

TEST(Campaign, SeveralShareTheWorkAndTryTheSame) {
  const auto alone = tried({.bound = 2, .wanders = false}, 1000);
  std::multiset<std::string> together;
  for (unsigned which = 0; which < 3; ++which)
    for (const std::string& one : tried({.bound = 2, .wanders = false, .which = which, .of = 3}, 1000)) together.insert(one);
  for (const std::string& one : alone) EXPECT_GE(together.count(one), 1u) << one;
  EXPECT_EQ(together.count("cpu0@2 hold\ncpu0@4 hold\n"), 1u);
}

TEST(Campaign, TheSameSeedTriesTheSame) {
  EXPECT_EQ(tried({.seed = 7}, 500), tried({.seed = 7}, 500));
  EXPECT_NE(tried({.seed = 7}, 500), tried({.seed = 8}, 500));
}

TEST(Campaign, WandersBehindTheBoundUntilItIsTold) {
  Coverage coverage;
  EXPECT_EQ(tried({.bound = 1}, 300, &coverage).size(), 300u);
  EXPECT_EQ(coverage.complete, 1u);
  EXPECT_GT(coverage.wandered, 200u);
}

}  // namespace kdpc::explore
