// Schedules by priorities: an order of the processors, and a few steps at which it changes.
#include "check/explore/priorities.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "check/explore/campaign.h"
#include "kdpc/test.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

// So many steps of each processor; at every tenth a card can do something.
Lesson lesson(std::uint16_t processors, std::uint64_t steps) {
  Lesson all;
  for (std::uint64_t step = 1; step <= steps; ++step)
    for (std::uint16_t processor = 0; processor < processors; ++processor) {
      all.points.push_back({processor, step, 0x1000 + step, false});
      Options options{processor, step, processors > 1, {}, 0};
      if (step % 10 == 0) options.events = {{Kind::Board, processor, step, 0}, {Kind::Clock, processor, step, processor}};
      all.options.push_back(std::move(options));
    }
  return all;
}

std::size_t count(const Schedule& schedule, Kind kind) {
  return static_cast<std::size_t>(std::count_if(schedule.begin(), schedule.end(), [&](const Deviation& one) { return one.kind == kind; }));
}

}  // namespace

TEST(Priorities, OfDepthDHaveAnOrderOfTheProcessorsAndChangeItAtDMinusOneSteps) {
  RULE("K.EXPLORE-9");
  Priorities priorities(1);
  EXPECT_FALSE(priorities.can());
  priorities.learned(lesson(3, 100));
  ASSERT_TRUE(priorities.can());
  std::set<std::uint16_t> first;
  for (const unsigned depth : {1u, 2u, 3u, 5u})
    for (int turn = 0; turn < 50; ++turn) {
      const Schedule schedule = priorities.of_depth(depth);
      ASSERT_EQ(schedule.size(), 2 + depth - 1);
      for (std::size_t index : {0, 1}) EXPECT_EQ(text_of(schedule[index]), text_of({Kind::Low, schedule[index].processor, 1, 0}));
      first.insert(static_cast<std::uint16_t>(3 - schedule[0].processor - schedule[1].processor));
      EXPECT_NE(schedule[0].processor, schedule[1].processor);
    }
  EXPECT_EQ(first.size(), 3u) << "each is the first in some of them";
}

TEST(Priorities, ChangesAreDrawnEvenlyOverTheWholeLengthAndArrivalsAreAmongThem) {
  Priorities priorities(1);
  priorities.learned(lesson(2, 100));
  std::size_t quarters[4] = {}, lowered = 0, arrivals = 0;
  for (int turn = 0; turn < 4000; ++turn) {
    const Deviation change = priorities.of_depth(2).back();
    ++quarters[(change.step - 1) / 25];
    lowered += change.kind == Kind::Low;
    arrivals += change.kind == Kind::Board;
    EXPECT_NE(change.kind, Kind::Clock) << "nobody waits for time";
  }
  for (const std::size_t quarter : quarters) EXPECT_NEAR(static_cast<double>(quarter), 1000, 120);
  EXPECT_GT(arrivals, 100u);
  EXPECT_LT(arrivals, 300u) << "half of those where one could come";
  EXPECT_EQ(lowered + arrivals, 4000u);
}

TEST(Priorities, OneProcessorHasNoneButWhatComesToIt) {
  Priorities priorities(1);
  priorities.learned(lesson(1, 100));
  for (int turn = 0; turn < 30; ++turn) {
    const Schedule schedule = priorities.next();
    EXPECT_EQ(count(schedule, Kind::Board), schedule.size());
    EXPECT_GE(schedule.size(), 1u);
  }
}

TEST(Priorities, TheSameSeedDrawsTheSame) {
  Priorities one(7), same(7), other(8);
  for (Priorities* each : {&one, &same, &other}) each->learned(lesson(2, 100));
  bool differs = false;
  for (int turn = 0; turn < 20; ++turn) {
    const Schedule schedule = one.next();
    EXPECT_EQ(schedule, same.next());
    differs = differs || schedule != other.next();
  }
  EXPECT_TRUE(differs);
}

TEST(Priorities, TakeTheirTurnInACampaignThatMayDraw) {
  const auto lowered = [](bool wanders) {
    Campaign campaign({.bound = 1, .wanders = wanders, .reduces = false});
    std::size_t with = 0;
    for (int turn = 0; turn < 100; ++turn) {
      const auto attempt = campaign.next();
      if (!attempt) break;
      with += count(attempt->schedule, Kind::Low) != 0;
      if (attempt->learn) campaign.learned(*attempt, lesson(2, 100));
    }
    EXPECT_GE(campaign.coverage().wandered, with);
    return with;
  };
  EXPECT_EQ(lowered(true), 33u) << "behind the default order every third one";
  EXPECT_EQ(lowered(false), 0u);
}

}  // namespace kdpc::explore
