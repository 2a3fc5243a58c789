// The bounded search: the default order; every order with one move in it; every order with two; … When next() has nothing left, every schedule within the
// bound has been tried.
//
//   K.EXPLORE-2  Several searchers together try each schedule exactly once, but for the default order, which all need.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "check/explore/moves.h"

namespace kdpc::explore {

class Bounded {
 public:
  // Of several searchers at once, `which` of `of` takes every of-th schedule.
  explicit Bounded(unsigned bound, unsigned which = 0, unsigned of = 1) : bound_(bound), which_(which), of_(of) {}

  std::optional<Attempt> next();
  void learned(const Schedule& schedule, const Lesson& lesson);  // of an attempt that wanted it

  unsigned level() const { return level_; }                            // how many moves the schedules have that are tried now
  const std::vector<Schedule>& first_level() const { return moves_; }  // of all searchers together

 private:
  unsigned bound_, which_, of_;
  unsigned level_ = 0;
  std::vector<Schedule> moves_;
  std::vector<Schedule> children_;         // of the present parent
  std::vector<Schedule> parents_, grown_;  // of this level, of the next
  std::size_t next_child_ = 0, next_parent_ = 0;
  bool began_ = false;
};

}  // namespace kdpc::explore
