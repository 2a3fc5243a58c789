#include "check/explore/wander.h"

namespace kdpc::explore {

Schedule Wander::leap() {
  Schedule schedule;
  for (std::uint64_t count = 1 + draw_.below(kMostMoves); count != 0; --count) {
    const Schedule& move = moves_[draw_.below(moves_.size())];
    schedule.insert(schedule.end(), move.begin(), move.end());
  }
  return schedule;
}

Attempt Wander::next() {
  leaps_next_ = !leaps_next_;
  if (!leaps_next_) return {leap(), false, Attempt::Source::Wander};
  if (walk_.empty()) {
    walk_ = moves_[draw_.below(moves_.size())];
    walked_ = 1;
  }
  return {walk_, true, Attempt::Source::Wander};
}

void Wander::learned(const Lesson& lesson) {
  const std::vector<Move> further = ++walked_ > kMostMoves ? std::vector<Move>() : moves_behind(walk_, lesson);
  walk_ = further.empty() ? Schedule() : with(walk_, further[draw_.below(further.size())]);
}

}  // namespace kdpc::explore
