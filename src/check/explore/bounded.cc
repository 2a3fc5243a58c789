#include "check/explore/bounded.h"

#include <algorithm>
#include <map>
#include <set>

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

Schedule with(const Schedule& schedule, std::initializer_list<Deviation> more) {
  Schedule longer = schedule;
  longer.insert(longer.end(), more);
  return longer;
}

void add_moves(const Schedule& parent, const Point& point, const Options& options, std::vector<Schedule>& moves) {
  const Deviation hold{Kind::Hold, point.processor, point.step, 0};
  if (options.others_can_go_on) moves.push_back(with(parent, {hold}));
  for (const Deviation& event : options.events) {
    if (event.kind == Kind::Clock && !point.timers) continue;  // nobody waits for time
    moves.push_back(with(parent, {event}));
    if (event.kind == Kind::Board || event.number != point.processor) moves.push_back(with(parent, {event, hold}));
  }
}

// Other picks than the first one, of those behind the last one that the schedule has chosen.
void add_picks(const Schedule& parent, const std::vector<std::uint64_t>& left_open, std::vector<Schedule>& moves) {
  std::uint64_t begin = 0;
  for (const Deviation& deviation : parent)
    if (deviation.kind == Kind::Pick) begin = std::max(begin, deviation.step + 1);
  for (std::uint64_t which = begin; which < left_open.size(); ++which)
    for (std::uint32_t number = 1; number < left_open[which]; ++number) moves.push_back(with(parent, {{Kind::Pick, 0, which, number}}));
}

}  // namespace

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

void Bounded::learned(const Schedule& schedule, const std::vector<Point>& points, const std::vector<Options>& options,
                      const std::vector<std::uint64_t>& left_open) {
  std::map<std::pair<std::uint16_t, std::uint64_t>, const Options*> at;
  for (const Options& one : options) at[{one.processor, one.step}] = &one;
  std::size_t begin = 0;
  if (!schedule.empty() && schedule.back().kind != Kind::Pick) {
    const auto is_behind = [&](const Point& point) { return point.processor == schedule.back().processor && point.step > schedule.back().step; };
    begin = static_cast<std::size_t>(std::find_if(points.begin(), points.end(), is_behind) - points.begin());
  }
  std::set<std::pair<std::uint16_t, std::uintptr_t>> seen;
  std::vector<Schedule> first, later;
  for (std::size_t index = begin; index < points.size(); ++index) {
    const Point& point = points[index];
    const auto found = at.find({point.processor, point.step});
    if (found == at.end()) continue;
    add_moves(schedule, point, *found->second, seen.insert({point.processor, point.pc}).second ? first : later);
  }
  add_picks(schedule, left_open, first);
  first.insert(first.end(), later.begin(), later.end());
  children_.clear();
  next_child_ = 0;
  const bool at_root = schedule.empty();
  if (at_root) moves_ = first;
  for (std::size_t index = 0; index < first.size(); ++index)
    if (!at_root || index % of_ == which_) children_.push_back(std::move(first[index]));
  if (at_root) level_ = 1;
  grown_.insert(grown_.end(), children_.begin(), children_.end());
}

}  // namespace kdpc::explore
