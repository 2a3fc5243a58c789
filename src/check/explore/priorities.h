// Schedules by priorities (PCT; Burckhardt, Kothari, Musuvathi and Nagarakatte, ASPLOS 2010). Of the processors one goes on only while those before it cannot,
// in an order that is drawn; at d - 1 steps, which are drawn evenly over the length of the default order, the one that has come there becomes the last of them.
// A bug that needs d of its steps in the right order is met with a chance that does not depend on how the rest of the run goes.
//
// An arrival is somebody who goes on, too: at a step that was drawn either the processor becomes the last one, or what could come there comes first.
//
//   K.EXPLORE-9  A schedule of depth d changes the order at d - 1 steps, and at the beginning.
#pragma once
#include <cstdint>
#include <vector>

#include "check/explore/draw.h"
#include "check/explore/moves.h"

namespace kdpc::explore {

class Priorities {
 public:
  explicit Priorities(std::uint64_t seed) : draw_(seed) {}

  void learned(const Lesson& default_order);
  bool can() const { return !changes_.empty(); }
  // Of depth 2, 3 and 5 in turn.
  Schedule next();
  Schedule of_depth(unsigned depth);

 private:
  using Change = std::vector<Deviation>;  // what could be done at a step: one of these
  Draw draw_;
  std::vector<Change> changes_;           // in order
  std::vector<Deviation> first_lowered_;  // each processor, where it matters for the first time
  unsigned turn_ = 0;
};

}  // namespace kdpc::explore
