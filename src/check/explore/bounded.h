// The bounded search: the default order; every order with one move in it; every order with two; … A move is a hold, an event that happens now, or both, before
// a step that is worth it (touches.h); or another pick. When next() has nothing left, every schedule within the bound has been tried.
//
// First come the moves where an instruction is met for the first time on its processor: most bugs are there, and a long loop does not hide the short path.
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "check/explore/plan.h"
#include "check/explore/touches.h"

namespace kdpc::explore {

struct Attempt {
  Schedule schedule;
  bool learn = false;  // note what could have happened, and tell learned()
};

class Bounded {
 public:
  // Of several searchers at once, `which` of `of` takes every of-th schedule.
  explicit Bounded(unsigned bound, unsigned which = 0, unsigned of = 1) : bound_(bound), which_(which), of_(of) {}

  std::optional<Attempt> next();
  // Of an attempt that wanted it; the points it passed, in order, the options that there were, and what was left open (plan.h).
  void learned(const Schedule& schedule, const std::vector<Point>& points, const std::vector<Options>& options,
               const std::vector<std::uint64_t>& left_open);

  unsigned level() const { return level_; }            // how many moves the schedules have that are tried now
  std::size_t moves() const { return moves_.size(); }  // of the first level
  const std::vector<Schedule>& first_level() const { return moves_; }

 private:
  unsigned bound_, which_, of_;
  unsigned level_ = 0;
  std::vector<Schedule> moves_;            // level 1
  std::vector<Schedule> children_;         // of the present parent
  std::vector<Schedule> parents_, grown_;  // of this level, of the next
  std::size_t next_child_ = 0, next_parent_ = 0;
  bool began_ = false;
};

}  // namespace kdpc::explore
