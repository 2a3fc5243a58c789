// The reduction as a part of a campaign: when it gives up.
#include "check/explore/reduction.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "kernel/events.h"

namespace kdpc::explore {

namespace {

using sim::Candidate;

// A processor takes three steps, and its clock can always come before one, and comes at the end. Each of them touches the same object.
Trail trail_of(const Schedule& schedule) {
  Trail trail;
  trail.begin();
  const auto happens = [&](std::vector<Candidate> candidates, std::size_t chosen, std::uint64_t step) {
    trail.asked(candidates, 0, chosen);
    const Stamp stamp{0, 0, 0, 10, step};
    trail.event(stamp, TimerSet{.timer = Address::at(0x400000020000), .due_time = 1, .period = 1});
    trail.event(stamp, ObjectSignalled{Address::at(0x400000030000), 0, 0});
  };
  const Candidate clock{Candidate::Kind::Clock, 0, 0, 1'000};
  for (std::uint64_t step = 1; step <= 3; ++step) {
    const Candidate goes_on{Candidate::Kind::Processor, 0, step, 1};
    const auto early =
        std::count_if(schedule.begin(), schedule.end(), [&](const Deviation& one) { return one.kind == Deviation::Kind::Clock && one.step == step; });
    for (auto times = early; times != 0; --times) happens({goes_on, clock}, 1, step);
    happens({goes_on, clock}, 0, step);
  }
  happens({clock}, 0, 3);
  return trail;
}

}  // namespace

TEST(Reduction, WhereTheClockCanAlwaysComeEarlyItGivesUpBeforeMuchTimeHasPassed) {
  Reduction reduction(true);
  std::ptrdiff_t most = 0;
  while (const auto attempt = reduction.next()) {
    most = std::max(most, std::count_if(attempt->schedule.begin(), attempt->schedule.end(),
                                        [](const Deviation& one) { return one.kind == Deviation::Kind::Clock; }));
    reduction.learned(trail_of(attempt->schedule));
  }
  EXPECT_EQ(most, 32);
  EXPECT_LT(reduction.tried(), 1000u);
  EXPECT_FALSE(reduction.is_complete());
}

TEST(Reduction, WhereNobodyWantsItNothingIsReduced) {
  Reduction reduction(false);
  EXPECT_FALSE(reduction.next());
  EXPECT_FALSE(reduction.is_complete());
}

}  // namespace kdpc::explore
