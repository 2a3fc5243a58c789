#include "check/explore/campaign.h"

#include <algorithm>

namespace kdpc::explore {

std::optional<Attempt> Campaign::next() {
  const bool may_wander = settings_.wanders && bounded_.level() >= 2 && !bounded_.first_level().empty();
  if (may_wander && !wander_) wander_.emplace(bounded_.first_level(), settings_.seed * 0x1000003 + settings_.which);
  if (!exhausted_ && !(may_wander && wanders_next_)) {
    wanders_next_ = true;
    wandered_ = false;
    if (auto attempt = bounded_.next()) {
      coverage_.complete = std::max(bounded_.level(), 1u) - 1;
      coverage_.began = true;
      ++coverage_.attempts[attempt->schedule.empty() ? 0 : bounded_.level() == 1 ? 1 : 2];
      return attempt;
    }
    exhausted_ = true;
    coverage_.complete = bounded_.level();
  }
  wanders_next_ = false;
  if (!settings_.wanders || bounded_.first_level().empty()) return {};
  if (!wander_) wander_.emplace(bounded_.first_level(), settings_.seed * 0x1000003 + settings_.which);
  wandered_ = true;
  ++coverage_.wandered;
  return wander_->next();
}

void Campaign::learned(const Schedule& schedule, const Lesson& lesson) {
  if (wandered_) return wander_->learned(lesson);
  bounded_.learned(schedule, lesson);
  coverage_.moves = bounded_.first_level().size();
}

}  // namespace kdpc::explore
