// From where on a failure is bound to come.
#include "check/explore/likelihood.h"

#include <gmock/gmock.h>

namespace kdpc::explore {

namespace {

using testing::Each;
using testing::Field;
using testing::Gt;

constexpr Deviation hold(std::uint64_t step) { return {Deviation::Kind::Hold, 0, step, 0}; }

// Processor 0 takes forty steps, each worth a deviation.
Lesson forty_steps() {
  Lesson lesson;
  for (std::uint64_t step = 1; step <= 40; ++step) {
    lesson.points.push_back({0, step, step, false});
    lesson.options.push_back({0, step, true, {}, 0});
  }
  return lesson;
}

bool has(const Schedule& schedule, std::uint64_t step) { return std::find(schedule.begin(), schedule.end(), hold(step)) != schedule.end(); }

}  // namespace

TEST(Likelihood, IsDecidedBehindTheDeviationThatNothingCanUndo) {
  const auto stations = likelihood({hold(20)}, forty_steps(), 30, [](const Schedule& schedule) { return has(schedule, 20); });
  const std::size_t decided = decided_at(stations);
  ASSERT_LT(decided, stations.size());
  EXPECT_EQ(stations[decided].point.step, 21u);
  ASSERT_GT(decided, 0u);
  EXPECT_EQ(stations[decided - 1].point.step, 20u);
  for (std::size_t before = 0; before < decided; ++before) EXPECT_LT(stations[before].failed, stations[before].orders / 2);
  EXPECT_THAT(stations, Each(Field(&Station::orders, 30u)));
}

TEST(Likelihood, WhatALaterOrderCanStillPreventIsNotDecided) {
  const auto prevented = [](const Schedule& schedule) {
    return has(schedule, 20) && std::none_of(schedule.begin(), schedule.end(), [](const Deviation& one) { return one.step > 20 && one.step <= 30; });
  };
  const auto stations = likelihood({hold(20)}, forty_steps(), 50, prevented);
  const std::size_t decided = decided_at(stations);
  ASSERT_LT(decided, stations.size());
  EXPECT_GT(stations[decided].point.step, 24u);
  EXPECT_THAT(stations, testing::Contains(Field(&Station::failed, testing::AllOf(Gt(0u), testing::Lt(50u)))));
}

TEST(Likelihood, IsTheSameEachTime) {
  const auto fails = [](const Schedule& schedule) { return has(schedule, 33); };
  const auto one = likelihood({hold(20), hold(33)}, forty_steps(), 40, fails), other = likelihood({hold(20), hold(33)}, forty_steps(), 40, fails);
  ASSERT_EQ(one.size(), other.size());
  for (std::size_t index = 0; index < one.size(); ++index) EXPECT_EQ(one[index].failed, other[index].failed);
}

TEST(Likelihood, OfAScheduleThatNeedsNoDeviationTheWholeWayIsLookedAt) {
  const auto stations = likelihood({}, forty_steps(), 10, [](const Schedule&) { return true; });
  EXPECT_GE(stations.size(), 4u);
  EXPECT_EQ(stations.front().point.step, 1u);
  EXPECT_EQ(decided_at(stations), 0u);
}

}  // namespace kdpc::explore
