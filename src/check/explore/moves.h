// One step further from a schedule: all that can be added to it behind its last deviation, in time, so that there is one way to each order. A move is a hold,
// an event that happens now, or both, before a step that is worth it (touches.h); another pick; or that an event which comes by itself is late. While somebody is
// held, the others can be held too: he who has waited longest goes on then, and what they had begun is not done.
//
//   K.EXPLORE-1  Time passes only where somebody may wait for it, and behind all else that is new.
//   K.FAULT-1  A routine fails once for each stack that calls it, and before anything else is tried.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "check/explore/plan.h"
#include "check/explore/touches.h"

namespace kdpc::explore {

// A schedule to be run. `learn`: what it passes is wanted afterwards. Of one that comes from the reduction its trail is.
struct Attempt {
  enum class Source : std::uint8_t { Systematic, Directed, Priorities, Wander, Reduction };
  Schedule schedule;
  bool learn = false;
  Source source = Source::Systematic;
};

// Two steps in which the same memory was accessed, and only chance has ordered them.
struct Suspicion {
  std::uint16_t processor = 0;  // of the first one, as it happened
  std::uint64_t step = 0;
  std::uint16_t other_processor = 0;
  std::uint64_t other_step = 0;
  auto operator<=>(const Suspicion&) const = default;
};

// What a run of a schedule has passed.
struct Lesson {
  std::vector<Point> points;             // worth a deviation, in order
  std::vector<Options> options;          // at each step
  std::vector<std::uint64_t> left_open;  // for picks
  std::vector<Suspicion> suspicions;
};

// What is added.
struct Move {
  Deviation first;
  std::optional<Deviation> second = {};
};
Schedule with(const Schedule& schedule, const Move& move);

// First those where an instruction is met for the first time on its processor: most bugs are there, and a long loop does not hide the short path. Of them those
// last in which time has to pass. Then what comes before the same step as the last deviation, if that is an event; and delays, one for each event.
std::vector<Move> moves_behind(const Schedule& schedule, const Lesson& lesson);

}  // namespace kdpc::explore
