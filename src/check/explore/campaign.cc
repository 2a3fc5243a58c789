#include "check/explore/campaign.h"

#include <algorithm>

#include "check/explore/directed.h"

namespace kdpc::explore {

bool Campaign::has(Source source) const {
  const bool may_draw = settings_.wanders && !bounded_.first_level().empty();
  switch (source) {
    case Source::Systematic: return !exhausted_;
    case Source::Directed: return next_directed_ < directed_.size();
    case Source::Priorities: return may_draw && priorities_.can();
    case Source::Wander: return may_draw;
  }
  return false;
}

std::optional<Attempt> Campaign::systematic() {
  auto attempt = bounded_.next();
  if (!attempt) {
    exhausted_ = true;
    coverage_.complete = bounded_.level();
    return {};
  }
  coverage_.complete = std::max(bounded_.level(), 1u) - 1;
  const bool is_again = attempt->learn && !attempt->schedule.empty();  // to be learned from
  if (!is_again) ++coverage_.attempts[attempt->schedule.empty() ? 0 : bounded_.level() == 1 ? 1 : 2];
  return attempt;
}

std::optional<Attempt> Campaign::next() {
  for (unsigned asked = 0; asked < kSources; ++asked) {
    source_ = static_cast<Source>((static_cast<unsigned>(source_) + 1) % kSources);
    if (!has(source_)) continue;
    switch (source_) {
      case Source::Systematic:
        if (auto attempt = systematic()) return attempt;
        break;
      case Source::Directed: ++coverage_.directed; return Attempt{directed_[next_directed_++], false};
      case Source::Priorities: ++coverage_.wandered; return Attempt{priorities_.next(), false};
      case Source::Wander: ++coverage_.wandered; return wander_.next();
    }
  }
  return {};
}

void Campaign::learned(const Schedule& schedule, const Lesson& lesson) {
  if (source_ == Source::Wander) return wander_.learned(lesson);
  bounded_.learned(schedule, lesson);
  if (schedule.empty()) {
    priorities_.learned(lesson);
    const std::vector<Schedule> all = directed_at_suspicions(lesson);
    for (std::size_t index = settings_.which; index < all.size(); index += settings_.of) directed_.push_back(all[index]);
  }
  coverage_.moves = bounded_.first_level().size();
}

}  // namespace kdpc::explore
