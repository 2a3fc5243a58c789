#include "check/explore/moves.h"

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

void add_moves(const Schedule& parent, const Point& point, const Options& options, std::vector<Schedule>& moves, std::vector<Schedule>& of_time) {
  const Deviation hold{Kind::Hold, point.processor, point.step, 0};
  if (options.others_can_go_on) moves.push_back(with(parent, {hold}));
  for (const Deviation& event : options.events) {
    if (event.kind == Kind::Clock && !point.timers) continue;  // nobody waits for time
    std::vector<Schedule>& where = event.kind == Kind::Clock ? of_time : moves;
    where.push_back(with(parent, {event}));
    if (event.kind == Kind::Board || event.number != point.processor) where.push_back(with(parent, {event, hold}));
  }
}

// Other picks than the first one, from `begin`.
void add_picks(const Schedule& parent, const std::vector<std::uint64_t>& left_open, std::uint64_t begin, std::vector<Schedule>& moves) {
  for (std::uint64_t which = begin; which < left_open.size(); ++which)
    for (std::uint32_t number = 1; number < left_open[which]; ++number) moves.push_back(with(parent, {{Kind::Pick, 0, which, number}}));
}

}  // namespace

std::vector<Schedule> moves_behind(const Schedule& schedule, const Lesson& lesson) {
  std::map<std::pair<std::uint16_t, std::uint64_t>, const Options*> at;
  for (const Options& one : lesson.options) at[{one.processor, one.step}] = &one;
  auto begin = lesson.points.begin();
  std::uint64_t first_pick = 0;
  for (const Deviation& deviation : schedule)
    if (deviation.kind == Kind::Pick) first_pick = std::max(first_pick, deviation.step + 1);
  if (!schedule.empty()) {
    const Deviation& last = schedule.back();
    const auto there = at.find({last.processor, last.step});
    const auto is_behind = [&](const Point& point) {
      const auto here = at.find({point.processor, point.step});
      if (here == at.end()) return false;
      return last.kind == Kind::Pick ? here->second->left_open > last.step : there != at.end() && here->second > there->second;
    };
    begin = std::find_if(begin, lesson.points.end(), is_behind);
    if (last.kind != Kind::Pick && there != at.end()) first_pick = std::max(first_pick, there->second->left_open);
  }
  std::set<std::pair<std::uint16_t, std::uintptr_t>> seen;
  std::vector<Schedule> moves, of_time, later;
  for (auto point = begin; point != lesson.points.end(); ++point) {
    const auto found = at.find({point->processor, point->step});
    if (found == at.end()) continue;
    const bool is_first = seen.insert({point->processor, point->pc}).second;
    add_moves(schedule, *point, *found->second, is_first ? moves : later, is_first ? of_time : later);
  }
  add_picks(schedule, lesson.left_open, first_pick, moves);
  moves.insert(moves.end(), of_time.begin(), of_time.end());
  moves.insert(moves.end(), later.begin(), later.end());
  return moves;
}

}  // namespace kdpc::explore
