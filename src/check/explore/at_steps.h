// The options at each step of a run that notes were taken of (plan.h). What is possible changes with calls and interrupts, and not with accesses: so an access has
// the options that were noted last on its processor.
#pragma once
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "check/explore/plan.h"
#include "check/explore/touches.h"

namespace kdpc::explore {

class AtSteps {
 public:
  // In the order of the run.
  struct Place {
    std::size_t note = 0;
    std::uint64_t step = 0;
    auto operator<=>(const Place&) const = default;
  };
  // Of each processor in the order of its steps; they must outlive it.
  explicit AtSteps(const std::vector<Options>& notes);

  // The last time that it stood there; none: nobody has asked there. A step that is neither noted nor an access is one of those before which nobody ever is.
  std::optional<Place> find(const Point& point) const;
  std::optional<Place> find(std::uint16_t processor, std::uint64_t step) const;  // whatever step it is
  Place of_pick(std::uint64_t which) const;                                      // the step behind which it was left open
  Place end() const { return {notes_.size(), 0}; }
  Options options(const Place& place) const;

 private:
  const std::vector<Options>& notes_;
  std::vector<std::vector<std::size_t>> of_;  // by processor
};

}  // namespace kdpc::explore
