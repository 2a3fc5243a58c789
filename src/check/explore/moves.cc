#include "check/explore/moves.h"

#include <algorithm>
#include <set>

#include "check/explore/at_steps.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

// What was called fails, if it may; once for each stack that called it.
void add_faults(const Options& step, std::set<std::uint64_t>& seen, std::vector<Move>& moves) {
  if (step.may_fail != 0 && seen.insert(step.may_fail).second) moves.push_back({{Kind::Fail, step.processor, step.step, 0}});
}

void add_moves(const Point& point, const Options& options, std::vector<Move>& moves, std::vector<Move>& of_time) {
  const Deviation hold{Kind::Hold, point.processor, point.step, 0};
  if (options.others_can_go_on) moves.push_back({hold});
  for (const Deviation& event : options.events) {
    if (event.kind == Kind::Clock && !point.timers) continue;  // nobody waits for time
    std::vector<Move>& where = event.kind == Kind::Clock ? of_time : moves;
    where.push_back({event});
    if (event.kind == Kind::Board || event.number != point.processor) where.push_back({event, hold});
  }
}

// Behind an event that comes before a step another one can come there, too: at a point there is no step in between for it to come before.
void add_second_events(const Schedule& schedule, const Lesson& lesson, const Options& there, std::vector<Move>& moves) {
  const Deviation& last = schedule.back();
  const auto point = std::find_if(lesson.points.begin(), lesson.points.end(),
                                  [&](const Point& one) { return one.processor == last.processor && one.step == last.step; });
  if (point == lesson.points.end() || std::find(there.events.begin(), there.events.end(), last) == there.events.end()) return;
  Options others{.processor = there.processor, .step = there.step};
  std::copy_if(there.events.begin(), there.events.end(), std::back_inserter(others.events),
               [&](const Deviation& event) { return std::find(schedule.begin(), schedule.end(), event) == schedule.end(); });
  add_moves(*point, others, moves, moves);
}

// Other picks than the first one, from `begin`.
void add_picks(const std::vector<std::uint64_t>& left_open, std::uint64_t begin, std::vector<Move>& moves) {
  for (std::uint64_t which = begin; which < left_open.size(); ++which)
    for (std::uint32_t number = 1; number < left_open[which]; ++number) moves.push_back({{Kind::Pick, 0, which, number}});
}

}  // namespace

Schedule with(const Schedule& schedule, const Move& move) {
  Schedule longer;
  longer.reserve(schedule.size() + 2);
  longer = schedule;
  longer.push_back(move.first);
  if (move.second) longer.push_back(*move.second);
  return longer;
}

std::vector<Move> moves_behind(const Schedule& schedule, const Lesson& lesson) {
  const AtSteps at(lesson.options);
  std::uint64_t first_pick = 0;
  for (const Deviation& deviation : schedule)
    if (deviation.kind == Kind::Pick) first_pick = std::max(first_pick, deviation.step + 1);
  const Deviation* const last = schedule.empty() ? nullptr : &schedule.back();
  const bool is_behind_pick = last != nullptr && last->kind == Kind::Pick;
  const auto there = last == nullptr || is_behind_pick ? std::optional<AtSteps::Place>() : at.find(last->processor, last->step);
  const auto is_behind = [&](const AtSteps::Place& here) {
    return last == nullptr || (is_behind_pick ? lesson.options[here.note].left_open > last->step : there && here > *there);
  };
  auto begin = lesson.points.begin();
  if (last != nullptr)
    begin = std::find_if(begin, lesson.points.end(), [&](const Point& point) {
      const auto here = at.find(point);
      return here && is_behind(*here);
    });
  if (there) first_pick = std::max(first_pick, lesson.options[there->note].left_open);
  std::set<std::pair<std::uint16_t, std::uintptr_t>> seen;
  std::set<std::uint64_t> stacks;
  std::vector<Move> moves, of_time, later, delays;
  for (std::size_t note = 0; note < lesson.options.size(); ++note) {
    const Options& step = lesson.options[note];
    if (!is_behind({note, step.step})) continue;
    add_faults(step, stacks, moves);
    for (const Deviation& delay : step.delays) delays.push_back({delay});
  }
  for (auto point = begin; point != lesson.points.end(); ++point) {
    const auto here = at.find(*point);
    if (!here) continue;
    const bool is_first = seen.insert({point->processor, point->pc}).second;
    add_moves(*point, at.options(*here), is_first ? moves : later, is_first ? of_time : later);
  }
  add_picks(lesson.left_open, first_pick, moves);
  moves.insert(moves.end(), of_time.begin(), of_time.end());
  moves.insert(moves.end(), later.begin(), later.end());
  if (there) add_second_events(schedule, lesson, at.options(*there), moves);
  moves.insert(moves.end(), delays.begin(), delays.end());
  return moves;
}

}  // namespace kdpc::explore
