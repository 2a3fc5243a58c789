#include "check/explore/bounded.h"

namespace kdpc::explore {

std::optional<Attempt> Bounded::next() {
  if (!began_) {
    began_ = true;
    return Attempt{{}, true};
  }
  for (;;) {
    if (next_child_ < children_.size()) {
      ++next_child_;
      return Attempt{children_[next_child_ - 1], false};
    }
    // The next parent is run again, to be learned from; its children follow.
    if (next_parent_ < parents_.size()) return Attempt{parents_[next_parent_++], true};
    if (level_ >= bound_ || grown_.empty()) return {};
    parents_ = std::move(grown_);
    grown_.clear();
    next_parent_ = 0;
    ++level_;
  }
}

void Bounded::learned(const Schedule& schedule, const Lesson& lesson) {
  children_ = moves_behind(schedule, lesson);
  next_child_ = 0;
  if (schedule.empty()) {
    level_ = 1;
    moves_ = children_;
    for (std::size_t index = 0, kept = 0; index < moves_.size(); ++index)
      if (index % of_ == which_) children_[kept++] = moves_[index];
    children_.resize(moves_.size() / of_ + (moves_.size() % of_ > which_ ? 1 : 0));
  }
  grown_.insert(grown_.end(), children_.begin(), children_.end());
}

}  // namespace kdpc::explore
