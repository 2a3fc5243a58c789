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
  children_.clear();
  for (const Move& move : moves_behind(schedule, lesson)) children_.push_back(with(schedule, move));
  next_child_ = 0;
  if (schedule.empty()) {
    level_ = 1;
    moves_ = std::move(children_);
    children_.clear();
    for (std::size_t index = which_; index < moves_.size(); index += of_) children_.push_back(moves_[index]);
  }
  if (level_ < bound_) grown_.insert(grown_.end(), children_.begin(), children_.end());
}

}  // namespace kdpc::explore
