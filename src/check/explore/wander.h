// Without a bound and without an end, in turn: leaps, a few of the moves of the default order drawn evenly over its whole length; and walks, which from each run
// take one of the moves behind its last deviation, so that they come to what only happens in other orders.
#pragma once
#include <cstdint>
#include <vector>

#include "check/explore/draw.h"
#include "check/explore/moves.h"

namespace kdpc::explore {

class Wander {
 public:
  // `moves` must outlive it, and not be empty when it is asked.
  Wander(const std::vector<Schedule>& moves, std::uint64_t seed) : moves_(moves), draw_(seed) {}
  Attempt next();
  void learned(const Lesson& lesson);  // of a walk's last step

 private:
  static constexpr unsigned kMostMoves = 5;
  Schedule leap();
  const std::vector<Schedule>& moves_;
  Draw draw_;
  Schedule walk_;  // where it stands; empty: at the beginning
  unsigned walked_ = 0;
  bool leaps_next_ = false;
};

}  // namespace kdpc::explore
