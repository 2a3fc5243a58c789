#include "check/explore/campaign.h"

#include <algorithm>

namespace kdpc::explore {

std::optional<Attempt> Campaign::next() {
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
  coverage_.moves = bounded_.first_level().size();
}

}  // namespace kdpc::explore
