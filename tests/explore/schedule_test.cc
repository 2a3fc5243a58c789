// Schedules as text, and how they are made shorter.
#include "check/explore/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "check/explore/shrink.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

const Schedule kEveryKind = {{Kind::Hold, 0, 17, 0}, {Kind::Board, 1, 18, 2},    {Kind::Clock, 2, 19, 1},      {Kind::Ipi, 63, 4'000'000'000'000, 0},
                             {Kind::Pick, 0, 3, 1},  {Kind::Switch, 0, 5, 1},    {Kind::Late, 0, 0, 0},        {Kind::Fail, 3, 6, 0},
                             {Kind::Low, 1, 8, 0},   {Kind::Ipi, 0, 9, 1, true}, {Kind::Board, 0, 10, 0, true}};

}  // namespace

TEST(Schedule, WhatIsWrittenIsReadAgain) {
  for (const Deviation& deviation : kEveryKind) {
    const auto read = deviation_from(text_of(deviation));
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(*read, deviation);
  }
  EXPECT_EQ(text_of(kEveryKind),
            "cpu0@17 hold\ncpu1@18 board 2\ncpu2@19 clock 1\ncpu63@4000000000000 ipi 0\npick 3 = 1\ncpu0@5 switch 1\nlate\ncpu3@6 fail\ncpu1@8 low\n"
            "cpu0@9 delay ipi 1\ncpu0@10 delay board 0\n");
  EXPECT_EQ(text_of(Schedule{}), "the default order\n");
}

TEST(Schedule, WhatIsNoDeviationIsSaidWithWhatIs) {
  for (const char* line : {"", "cpu", "cpu0", "cpu0@", "cpu0@17", "cpu0@17 jump", "cpu0@17 board", "cpu0@17 hold 1", "cpu0@17 switch", "late 1",
                           "cpu0@5 low 1", "cpuX@1 hold", "pick = 1", "pick 1", "cpu-1@1 hold", "cpu0@99999999999999999999 hold"}) {
    const auto read = deviation_from(line);
    ASSERT_FALSE(read) << line;
    EXPECT_NE(read.error().what.find("is no deviation; they look like 'cpu0@17 hold'"), std::string::npos);
  }
}

TEST(Schedule, OnlyBoardsAndIpisAreDelayed) {
  for (const char* line : {"cpu0@5 delay", "cpu0@5 delay ipi", "cpu0@5 delay clock 1", "cpu0@5 delay switch 1", "cpu0@5 delay hold"})
    EXPECT_FALSE(deviation_from(line)) << line;
}

TEST(Shrink, LeavesExactlyWhatIsNeeded) {
  Schedule schedule;
  for (std::uint64_t step = 0; step < 40; ++step) schedule.push_back({Kind::Hold, 0, step, 0});
  unsigned runs = 0;
  const auto fails = [&](const Schedule& tried) {
    ++runs;
    const auto has = [&](std::uint64_t step) {
      return std::any_of(tried.begin(), tried.end(), [step](const Deviation& one) { return one.step == step; });
    };
    return has(3) && has(21) && has(22);
  };
  const Schedule least = shrink(schedule, fails);
  ASSERT_EQ(least.size(), 3u);
  EXPECT_EQ(least[0].step, 3u);
  EXPECT_EQ(least[1].step, 21u);
  EXPECT_EQ(least[2].step, 22u);
  EXPECT_LT(runs, 200u);
}

TEST(Shrink, ToNothingIfNothingIsNeeded) {
  EXPECT_TRUE(shrink(kEveryKind, [](const Schedule&) { return true; }).empty());
  EXPECT_TRUE(shrink({}, [](const Schedule&) { return true; }).empty());
  EXPECT_EQ(shrink(kEveryKind, [](const Schedule& tried) { return tried == kEveryKind; }), kEveryKind);
}

}  // namespace kdpc::explore
