// What is tried because the default order has made two accesses look suspicious.
#include "check/explore/directed.h"

#include <gmock/gmock.h>

#include "check/explore/campaign.h"
#include "kdpc/test.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;
using testing::Contains;
using testing::ElementsAre;
using testing::Not;

// Of processor 0, at each step of which another processor can go on and a card can do something.
Lesson lesson(std::uint64_t steps, std::vector<Suspicion> suspicions) {
  Lesson all{{}, {}, {2}, std::move(suspicions)};
  for (std::uint64_t step = 1; step <= steps; ++step) {
    all.points.push_back({0, step, 0x1000 + step, false});
    all.options.push_back({0, step, true, {{Kind::Board, 0, step, 0}}, 0});
  }
  return all;
}

std::vector<std::string> texts(const Lesson& lesson) {
  std::vector<std::string> all;
  for (const Schedule& schedule : directed_at_suspicions(lesson)) {
    std::string text;
    for (const Deviation& deviation : schedule) text += (text.empty() ? "" : ", ") + text_of(deviation);
    all.push_back(text);
  }
  return all;
}

}  // namespace

TEST(Directed, WithoutASuspicionThereIsNothingToTry) { EXPECT_TRUE(texts(lesson(10, {})).empty()); }

TEST(Directed, TheFirstIsHeldUntilTheOtherHasComeOrTheOtherIsMadeToComeOnWhicheverProcessor) {
  const std::vector<std::string> all = texts(lesson(1, {{0, 1, 1, 9}}));
  EXPECT_THAT(all, ElementsAre("cpu0@1 hold", "cpu0@1 board 0", "cpu0@1 board 0, cpu0@1 hold", "pick 0 = 1, cpu0@1 board 0, cpu0@1 hold"));
}

TEST(Directed, TheSameIsTriedFurtherAndFurtherFromTheAccess) {
  std::vector<std::string> holds;
  for (const std::string& text : texts(lesson(20, {{0, 5, 1, 9}})))
    if (text.ends_with(" hold") && text.find(',') == std::string::npos) holds.push_back(text);
  ASSERT_GE(holds.size(), 5u);
  holds.resize(5);
  EXPECT_THAT(holds, ElementsAre("cpu0@5 hold", "cpu0@4 hold", "cpu0@6 hold", "cpu0@3 hold", "cpu0@7 hold"));
}

TEST(Directed, ASuspicionIsWorthSoManySchedulesAndNoMore) {
  RULE("K.EXPLORE-7");
  EXPECT_EQ(texts(lesson(100, {{0, 50, 1, 9}})).size(), kMostFor);
  // Two are tried in turn, and none twice.
  const std::vector<std::string> both = texts(lesson(100, {{0, 50, 1, 9}, {0, 20, 1, 9}}));
  EXPECT_EQ(both.size(), 2 * kMostFor);
  EXPECT_EQ(both[0], "cpu0@50 hold");
  EXPECT_EQ(both[1], "cpu0@20 hold");
  EXPECT_EQ(texts(lesson(100, {{0, 50, 1, 9}, {0, 50, 1, 12}})).size(), kMostFor);
  Lesson nobody_to_hold_for = lesson(100, {{0, 50, 1, 9}});  // at each step it comes in three ways, of which the last step's are too many
  for (Options& options : nobody_to_hold_for.options) options.others_can_go_on = false;
  EXPECT_EQ(texts(nobody_to_hold_for).size(), kMostFor);
}

TEST(Directed, WhatIsNotPossibleIsNotTried) {
  Lesson alone = lesson(3, {{0, 2, 0, 3}});
  for (Options& options : alone.options)
    options = {0, options.step, false, {{Kind::Clock, 0, options.step, 1}, {Kind::Clock, 0, options.step, 0}}, 1};
  EXPECT_THAT(texts(alone), ElementsAre("cpu0@2 clock 0", "cpu0@1 clock 0", "cpu0@3 clock 0")) << "no hold, and no other processor's clock";
}

TEST(Directed, ACampaignTriesThemInTurnWithOneMoveAndSaysWhichTheyAre) {
  const auto tried_by = [](unsigned which, unsigned of) {
    Campaign campaign({.bound = 1, .wanders = false, .reduces = false, .which = which, .of = of});
    std::vector<std::string> directed;
    std::size_t attempts = 0;
    bool was_directed = true;
    while (const auto attempt = campaign.next()) {
      if (++attempts <= 7) {
        EXPECT_EQ(attempt->source == Attempt::Source::Directed, !was_directed) << attempts;
        was_directed = attempt->source == Attempt::Source::Directed;
      }
      if (attempt->source == Attempt::Source::Directed) directed.push_back(text_of(attempt->schedule));
      if (attempt->learn) campaign.learned(*attempt, lesson(100, {{0, 50, 1, 9}}));
    }
    EXPECT_EQ(campaign.coverage().directed, directed.size());
    EXPECT_EQ(campaign.coverage().complete, 1u);
    return directed;
  };
  EXPECT_EQ(tried_by(0, 1).size(), kMostFor);
  std::vector<std::string> first = tried_by(0, 2), second = tried_by(1, 2);
  EXPECT_EQ(first.size() + second.size(), kMostFor);
  for (const std::string& text : first) EXPECT_THAT(second, Not(Contains(text)));
}

}  // namespace kdpc::explore
