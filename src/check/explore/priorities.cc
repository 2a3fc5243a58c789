#include "check/explore/priorities.h"

#include <algorithm>
#include <utility>

#include "check/explore/at_steps.h"

namespace kdpc::explore {

using Kind = Deviation::Kind;

void Priorities::learned(const Lesson& default_order) {
  const AtSteps at(default_order.options);
  for (const Point& point : default_order.points) {
    const auto here = at.find(point);
    if (!here) continue;
    const Options options = at.options(*here);
    Change change;
    if (options.others_can_go_on) {
      change.push_back({Kind::Low, point.processor, point.step, 0});
      const auto is_its = [&](const Deviation& lowered) { return lowered.processor == point.processor; };
      if (std::none_of(first_lowered_.begin(), first_lowered_.end(), is_its)) first_lowered_.push_back(change.front());
    }
    for (const Deviation& event : options.events)
      if (event.kind != Kind::Clock || point.timers) change.push_back(event);
    if (change.empty()) continue;
    changes_.push_back(std::move(change));
  }
}

Schedule Priorities::next() {
  constexpr unsigned kDepths[] = {2, 3, 5};
  return of_depth(kDepths[turn_++ % std::size(kDepths)]);
}

Schedule Priorities::of_depth(unsigned depth) {
  // All but one are lowered at the beginning, which is an order of all. Who is first is drawn; with more than two the others follow in their turn.
  Schedule schedule;
  const std::size_t processors = first_lowered_.size();
  const std::uint64_t first = processors == 0 ? 0 : draw_.below(processors);
  for (std::size_t index = 1; index < processors; ++index) schedule.push_back(first_lowered_[(first + index) % processors]);
  std::vector<std::uint64_t> where;
  for (unsigned change = 1; change < depth; ++change) where.push_back(draw_.below(changes_.size()));
  std::sort(where.begin(), where.end());
  for (const std::uint64_t index : where) {
    const Change& change = changes_[index];
    const bool may_lower = change.front().kind == Kind::Low;
    if (may_lower && (change.size() == 1 || draw_.below(2) == 0)) {
      schedule.push_back(change.front());
    } else {
      const std::size_t arrivals = may_lower ? 1 : 0;
      schedule.push_back(change[arrivals + draw_.below(change.size() - arrivals)]);
    }
  }
  return schedule;
}

}  // namespace kdpc::explore
