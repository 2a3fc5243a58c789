// Without a bound and without an end: a few of the moves of the default run, drawn evenly over its whole length.
#pragma once
#include <cstdint>
#include <vector>

#include "check/explore/schedule.h"

namespace kdpc::explore {

class Wander {
 public:
  // `moves` must outlive it and not be empty.
  Wander(const std::vector<Schedule>& moves, std::uint64_t seed) : moves_(moves), state_(seed) {}
  Schedule next();

 private:
  static constexpr unsigned kMostMoves = 5;
  std::uint64_t draw(std::uint64_t bound);
  const std::vector<Schedule>& moves_;
  std::uint64_t state_;
};

}  // namespace kdpc::explore
