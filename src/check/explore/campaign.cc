#include "check/explore/campaign.h"

#include <algorithm>

#include "check/explore/directed.h"

namespace kdpc::explore {

std::optional<Attempt> Campaign::next() {
  directs_ = !directs_ && next_directed_ < directed_.size();
  if (directs_) {
    ++coverage_.directed;
    return Attempt{directed_[next_directed_++], false};
  }
  const bool may_wander = settings_.wanders && !bounded_.first_level().empty();
  wandered_ = may_wander && (exhausted_ || (bounded_.level() >= 2 && !wandered_));
  if (!wandered_ && !exhausted_) {
    if (auto attempt = bounded_.next()) {
      coverage_.complete = std::max(bounded_.level(), 1u) - 1;
      const bool is_again = attempt->learn && !attempt->schedule.empty();  // to be learned from
      if (!is_again) ++coverage_.attempts[attempt->schedule.empty() ? 0 : bounded_.level() == 1 ? 1 : 2];
      return attempt;
    }
    exhausted_ = true;
    coverage_.complete = bounded_.level();
    wandered_ = may_wander;
  }
  if (!wandered_) return {};
  ++coverage_.wandered;
  return wander_.next();
}

void Campaign::learned(const Schedule& schedule, const Lesson& lesson) {
  if (wandered_) return wander_.learned(lesson);
  bounded_.learned(schedule, lesson);
  if (schedule.empty()) {
    const std::vector<Schedule> all = directed_at_suspicions(lesson);
    for (std::size_t index = settings_.which; index < all.size(); index += settings_.of) directed_.push_back(all[index]);
  }
  coverage_.moves = bounded_.first_level().size();
}

}  // namespace kdpc::explore
