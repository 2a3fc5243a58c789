// What can be added to a schedule, where, and in which order it comes.
#include "check/explore/moves.h"

#include <gmock/gmock.h>

#include "kdpc/test.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;
using testing::ElementsAre;

std::vector<std::string> moves(const Lesson& lesson, const Schedule& schedule = {}) {
  std::vector<std::string> all;
  for (const Move& one : moves_behind(schedule, lesson)) all.push_back(text_of(with(schedule, one)));
  return all;
}

constexpr bool kTimers = true;

// One point of processor 0, at step 7.
Lesson at_seven(bool timers, bool others, Events events) {
  return {{{0, 7, 0x1000, timers}}, {{0, 7, others, std::move(events)}}, {}};
}

}  // namespace

TEST(Moves, AProcessorIsHeldOnlyIfOthersCanGoOn) {
  EXPECT_THAT(moves(at_seven(false, true, {})), ElementsAre("cpu0@7 hold\n"));
  EXPECT_THAT(moves(at_seven(false, false, {})), ElementsAre());
}

// Whoever is interrupted there may then be held; one's own clock and IPIs interrupt oneself.
TEST(Moves, AnEventComesAloneAndWithAHoldUnlessItComesToTheSameProcessor) {
  EXPECT_THAT(moves(at_seven(kTimers, false, {{Kind::Board, 0, 7, 0}})), ElementsAre("cpu0@7 board 0\n", "cpu0@7 board 0\ncpu0@7 hold\n"));
  EXPECT_THAT(moves(at_seven(kTimers, false, {{Kind::Clock, 0, 7, 1}})), ElementsAre("cpu0@7 clock 1\n", "cpu0@7 clock 1\ncpu0@7 hold\n"));
  EXPECT_THAT(moves(at_seven(kTimers, false, {{Kind::Ipi, 0, 7, 1}})), ElementsAre("cpu0@7 ipi 1\n", "cpu0@7 ipi 1\ncpu0@7 hold\n"));
  EXPECT_THAT(moves(at_seven(kTimers, false, {{Kind::Clock, 0, 7, 0}})), ElementsAre("cpu0@7 clock 0\n"));
  EXPECT_THAT(moves(at_seven(kTimers, false, {{Kind::Ipi, 0, 7, 0}})), ElementsAre("cpu0@7 ipi 0\n"));
}

TEST(Moves, TimePassesOnlyWhereSomebodyWaitsForItAndBehindAllElseThatIsNew) {
  RULE("K.EXPLORE-1");
  const Events events = {{Kind::Clock, 0, 7, 1}, {Kind::Board, 0, 7, 0}};
  EXPECT_THAT(moves(at_seven(false, true, events)), ElementsAre("cpu0@7 hold\n", "cpu0@7 board 0\n", "cpu0@7 board 0\ncpu0@7 hold\n"));
  // Behind later points and behind picks, but before instructions that were met before.
  Lesson lesson = at_seven(kTimers, true, {{Kind::Clock, 0, 7, 1}});
  lesson.points.insert(lesson.points.end(), {{0, 8, 0x2000, kTimers}, {0, 9, 0x1000, kTimers}});
  lesson.options.insert(lesson.options.end(), {{0, 8, true, {}}, {0, 9, true, {}}});
  lesson.left_open = {2};
  EXPECT_THAT(moves(lesson),
              ElementsAre("cpu0@7 hold\n", "cpu0@8 hold\n", "pick 0 = 1\n", "cpu0@7 clock 1\n", "cpu0@7 clock 1\ncpu0@7 hold\n", "cpu0@9 hold\n"));
}

TEST(Moves, InstructionsThatAreMetForTheFirstTimeOnTheirProcessorComeFirst) {
  Lesson lesson;
  for (const auto& [processor, step, pc] :
       {std::tuple<std::uint16_t, std::uint64_t, std::uintptr_t>{0, 1, 0x1000}, {0, 2, 0x1000}, {1, 1, 0x1000}, {0, 3, 0x2000}}) {
    lesson.points.push_back({processor, step, pc, false});
    lesson.options.push_back({processor, step, true, {}});
  }
  EXPECT_THAT(moves(lesson), ElementsAre("cpu0@1 hold\n", "cpu1@1 hold\n", "cpu0@3 hold\n", "cpu0@2 hold\n"));
}

// Also before a step that is worth nothing else.
TEST(Moves, WhatComesByItselfIsDelayedBehindAllElse) {
  RULE("K.EXPLORE-11");
  Lesson lesson = at_seven(kTimers, true, {{Kind::Clock, 0, 7, 1}});
  lesson.options[0].delays = {{Kind::Ipi, 0, 7, 1, true}};
  lesson.points.push_back({0, 9, 0x1000, false});
  lesson.options.insert(lesson.options.end(), {{0, 8, true, {}}, {0, 9, true, {}}});
  lesson.options[1].delays = {{Kind::Board, 0, 8, 0, true}, {Kind::Ipi, 0, 8, 0, true}};
  EXPECT_THAT(moves(lesson), ElementsAre("cpu0@7 hold\n", "cpu0@7 clock 1\n", "cpu0@7 clock 1\ncpu0@7 hold\n", "cpu0@9 hold\n",
                                         "cpu0@7 delay ipi 1\n", "cpu0@8 delay board 0\n", "cpu0@8 delay ipi 0\n"));
  EXPECT_THAT(
      moves(lesson, {{Kind::Ipi, 0, 7, 1, true}}),
      ElementsAre("cpu0@7 delay ipi 1\ncpu0@9 hold\n", "cpu0@7 delay ipi 1\ncpu0@8 delay board 0\n", "cpu0@7 delay ipi 1\ncpu0@8 delay ipi 0\n"));
}

TEST(Moves, OnlyWhatIsBehindTheLastDeviationIsAdded) {
  Lesson lesson;
  for (const auto& [processor, step] : {std::pair<std::uint16_t, std::uint64_t>{0, 1}, {1, 1}, {0, 2}, {1, 2}}) {
    lesson.points.push_back({processor, step, 0x1000u + 16 * processor + step, false});
    lesson.options.push_back({processor, step, true, {}});
  }
  // Of all processors, whether they go on then or stand there.
  EXPECT_THAT(moves(lesson, {{Kind::Hold, 1, 1, 0}}), ElementsAre("cpu1@1 hold\ncpu0@2 hold\n", "cpu1@1 hold\ncpu1@2 hold\n"));
  EXPECT_THAT(moves(lesson, {{Kind::Hold, 0, 1, 0}}),
              ElementsAre("cpu0@1 hold\ncpu1@1 hold\n", "cpu0@1 hold\ncpu0@2 hold\n", "cpu0@1 hold\ncpu1@2 hold\n"));
}

// Not the same once more, and in either order.
TEST(Moves, TwoEventsComeBeforeOneStep) {
  Lesson lesson = at_seven(false, true, {{Kind::Board, 0, 7, 0}, {Kind::Board, 0, 7, 1}, {Kind::Clock, 0, 7, 0}});
  EXPECT_THAT(moves(lesson, {{Kind::Board, 0, 7, 0}}),
              ElementsAre("cpu0@7 board 0\ncpu0@7 board 1\n", "cpu0@7 board 0\ncpu0@7 board 1\ncpu0@7 hold\n"));
  EXPECT_THAT(moves(lesson, {{Kind::Board, 0, 7, 1}}),
              ElementsAre("cpu0@7 board 1\ncpu0@7 board 0\n", "cpu0@7 board 1\ncpu0@7 board 0\ncpu0@7 hold\n"));
  EXPECT_THAT(moves(lesson, {{Kind::Board, 0, 7, 0}, {Kind::Board, 0, 7, 1}}), ElementsAre());
  EXPECT_THAT(moves(lesson, {{Kind::Board, 0, 7, 0}, {Kind::Hold, 0, 7, 0}}), ElementsAre()) << "who is held does not go on first";
  EXPECT_THAT(moves(lesson, {{Kind::Board, 0, 7, 0, true}}), ElementsAre());
}

TEST(Moves, PicksAreAddedBehindTheLastPickAndBehindTheLastDeviation) {
  Lesson lesson{{{0, 5, 0x1000, false}, {0, 6, 0x2000, false}}, {{0, 5, true, {}, 1}, {0, 6, true, {}, 2}}, {2, 3, 2}};
  EXPECT_THAT(moves(lesson), ElementsAre("cpu0@5 hold\n", "cpu0@6 hold\n", "pick 0 = 1\n", "pick 1 = 1\n", "pick 1 = 2\n", "pick 2 = 1\n"));
  EXPECT_THAT(moves(lesson, {{Kind::Pick, 0, 1, 2}}), ElementsAre("pick 1 = 2\ncpu0@6 hold\n", "pick 1 = 2\npick 2 = 1\n"));
  EXPECT_THAT(moves(lesson, {{Kind::Hold, 0, 6, 0}}), ElementsAre("cpu0@6 hold\npick 2 = 1\n"));
  // Nor behind a pick that was chosen before; and nothing behind a step that the run never came to.
  EXPECT_THAT(moves(lesson, {{Kind::Pick, 0, 1, 1}, {Kind::Hold, 0, 4, 0}}), ElementsAre("pick 1 = 1\ncpu0@4 hold\npick 2 = 1\n"));
}

}  // namespace kdpc::explore
