// From which moment on a failure is bound to come. Along the run of a schedule that fails there are stations; up to one of them the schedule is followed, then
// orders are drawn at random. Where all of those fail too, what has happened before has decided it.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "check/explore/moves.h"

namespace kdpc::explore {

struct Station {
  Point point;          // the next step that was worth a deviation
  unsigned failed = 0;  // so many of …
  unsigned orders = 0;  // … those that were drawn
};

// In the order of the run: some before the first deviation, those around each, and some behind the last. `lesson` is of that run. `fails`: whether a schedule
// ends in the same failure. The same arguments draw the same orders.
std::vector<Station> likelihood(const Schedule& schedule, const Lesson& lesson, unsigned orders, const std::function<bool(const Schedule&)>& fails);

// The first station from which on every order fails; stations.size(): none.
std::size_t decided_at(const std::vector<Station>& stations);

}  // namespace kdpc::explore
