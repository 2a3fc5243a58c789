#include "check/explore/reduction.h"

namespace kdpc::explore {

std::optional<Attempt> Reduction::next() {
  goes_on_ = goes_on_ && dpor_.tried() < kMost;
  if (!goes_on_) return {};
  auto schedule = dpor_.next();
  if (schedule) return Attempt{std::move(*schedule), false, Attempt::Source::Reduction};
  goes_on_ = false;
  complete_ = !dpor_.lost_its_way();
  return {};
}

void Reduction::learned(const Trail& trail) {
  goes_on_ = trail.transitions().size() <= kLongest;
  if (goes_on_) dpor_.learned(trail);
}

}  // namespace kdpc::explore
