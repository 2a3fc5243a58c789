#include "check/explore/wander.h"

namespace kdpc::explore {

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014); the bias of the remainder does not matter here.
std::uint64_t Wander::draw(std::uint64_t bound) {
  std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
  return (mixed ^ mixed >> 31) % bound;
}

Schedule Wander::leap() {
  Schedule schedule;
  for (std::uint64_t count = 1 + draw(kMostMoves); count != 0; --count) {
    const Schedule& move = moves_[draw(moves_.size())];
    schedule.insert(schedule.end(), move.begin(), move.end());
  }
  return schedule;
}

Attempt Wander::next() {
  leaps_next_ = !leaps_next_;
  if (!leaps_next_) return {leap(), false};
  if (walk_.empty()) {
    walk_ = moves_[draw(moves_.size())];
    walked_ = 1;
  }
  return {walk_, true};
}

void Wander::learned(const Lesson& lesson) {
  const std::vector<Move> further = ++walked_ > kMostMoves ? std::vector<Move>() : moves_behind(walk_, lesson);
  walk_ = further.empty() ? Schedule() : with(walk_, further[draw(further.size())]);
}

}  // namespace kdpc::explore
