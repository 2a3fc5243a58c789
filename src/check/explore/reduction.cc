#include "check/explore/reduction.h"

#include <algorithm>

namespace kdpc::explore {

std::optional<Attempt> Reduction::next() {
  if (!goes_on_ || dpor_.tried() >= kMost) return {};
  auto schedule = dpor_.next();
  if (!schedule) {
    goes_on_ = false;
    complete_ = !dpor_.lost_its_way();
    return {};
  }
  const auto is_clock = [](const Deviation& one) { return one.kind == Deviation::Kind::Clock; };
  goes_on_ = std::count_if(schedule->begin(), schedule->end(), is_clock) <= kMostClocks;
  if (!goes_on_) return {};
  return Attempt{std::move(*schedule), false, Attempt::Source::Reduction};
}

void Reduction::learned(const Trail& trail) {
  goes_on_ = trail.transitions().size() <= kLongest;
  if (goes_on_) dpor_.learned(trail);
}

}  // namespace kdpc::explore
