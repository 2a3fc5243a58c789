// Leaps and walks, which a campaign takes where nothing is left to try in order.
#include "check/explore/wander.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

std::vector<Schedule> holds(std::uint64_t count) {
  std::vector<Schedule> moves;
  for (std::uint64_t step = 1; step <= count; ++step) moves.push_back({{Kind::Hold, 0, step, 0}});
  return moves;
}

// Points up to step `count`.
Lesson lesson(std::uint64_t count) {
  Lesson all;
  for (std::uint64_t step = 1; step <= count; ++step) {
    all.points.push_back({0, step, 0x1000, false});
    all.options.push_back({0, step, true, {}});
  }
  return all;
}

}  // namespace

TEST(Wander, ALeapIsOneToFiveOfTheMovesOfTheDefaultOrder) {
  const std::vector<Schedule> moves = holds(40);
  Wander wander(moves, 1);
  std::size_t leaps[7] = {};
  std::vector<bool> met(41);
  for (int turn = 0; turn < 2000; ++turn) {
    const Attempt attempt = wander.next();
    if (attempt.learn) continue;  // a walk
    ++leaps[std::min<std::size_t>(attempt.schedule.size(), 6)];
    for (const Deviation& one : attempt.schedule) met[one.step] = true;
  }
  EXPECT_EQ(leaps[0] + leaps[6], 0u);
  for (int count = 1; count <= 5; ++count) EXPECT_GT(leaps[count], 100u) << count;
  EXPECT_EQ(std::count(met.begin(), met.end(), true), 40) << "over its whole length";
}

TEST(Wander, AWalkOnlyLengthensAndBeginsAnewAfterFiveMovesOrWhereNothingFollows) {
  constexpr std::uint64_t kSteps = 100;
  const std::vector<Schedule> moves = holds(kSteps);
  Wander wander(moves, 1);
  Schedule before;
  std::size_t walks = 0, longest = 0, short_of_moves = 0;
  for (int turn = 0; turn < 2000; ++turn) {
    const Attempt attempt = wander.next();
    if (!attempt.learn) continue;  // a leap
    const Schedule& now = attempt.schedule;
    ASSERT_FALSE(now.empty());
    if (now.size() == 1) {
      ++walks;
      if (!before.empty() && before.size() < 5) {
        ++short_of_moves;
        EXPECT_EQ(before.back().step, kSteps) << text_of(before);
      }
    } else {
      ASSERT_EQ(now.size(), before.size() + 1);
      EXPECT_TRUE(std::equal(before.begin(), before.end(), now.begin())) << text_of(before) << "then\n" << text_of(now);
      EXPECT_GT(now.back().step, before.back().step);
    }
    longest = std::max(longest, now.size());
    before = now;
    wander.learned(lesson(kSteps));
  }
  EXPECT_EQ(longest, 5u);
  EXPECT_GT(walks, 100u);
  EXPECT_GT(short_of_moves, 0u);
}

}  // namespace kdpc::explore
