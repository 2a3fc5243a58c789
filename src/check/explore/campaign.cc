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
    case Source::Reduction: break;
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

std::optional<Attempt> Campaign::reduced() {
  auto attempt = reduction_.next();
  coverage_.reduced = reduction_.tried();
  coverage_.exhaustive = reduction_.is_complete();
  return attempt;
}

std::optional<Attempt> Campaign::next() {
  if (asked_++ % kReducesEvery == 0 && coverage_.complete >= 1)
    if (auto attempt = reduced()) return attempt;
  for (unsigned asked = 0; asked < kTakeTurns; ++asked) {
    turn_ = static_cast<Source>((static_cast<unsigned>(turn_) + 1) % kTakeTurns);
    if (!has(turn_)) continue;
    switch (turn_) {
      case Source::Systematic:
        if (auto attempt = systematic()) return attempt;
        break;
      case Source::Directed: ++coverage_.directed; return Attempt{directed_[next_directed_++], false, turn_};
      case Source::Priorities: ++coverage_.wandered; return Attempt{priorities_.next(), false, turn_};
      case Source::Wander: ++coverage_.wandered; return wander_.next();
      case Source::Reduction: break;
    }
  }
  return reduced();
}

void Campaign::learned(const Trail& trail) { reduction_.learned(trail); }

void Campaign::learned(const Attempt& attempt, const Lesson& lesson) {
  if (attempt.source == Source::Wander) return wander_.learned(lesson);
  bounded_.learned(attempt.schedule, lesson);
  if (attempt.schedule.empty()) {
    priorities_.learned(lesson);
    const std::vector<Schedule> all = directed_at_suspicions(lesson);
    for (std::size_t index = settings_.which; index < all.size(); index += settings_.of) directed_.push_back(all[index]);
  }
  coverage_.moves = bounded_.first_level().size();
}

}  // namespace kdpc::explore
