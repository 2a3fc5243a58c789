#include "check/explore/directed.h"

#include <algorithm>
#include <set>

#include "check/explore/at_steps.h"

namespace kdpc::explore {

namespace {

using Kind = Deviation::Kind;

// The other comes before this step, on whichever processor.
void add_arrivals(const Lesson& lesson, const Options& here, std::vector<Schedule>& schedules) {
  const Deviation hold{Kind::Hold, here.processor, here.step, 0};
  if (here.others_can_go_on) schedules.push_back({hold});
  for (const Deviation& event : here.events) {
    if (event.kind == Kind::Clock && event.number != here.processor) continue;
    schedules.push_back({event});
    if (event.kind != Kind::Board) continue;
    schedules.push_back({event, hold});
    const std::uint64_t bound = here.left_open < lesson.left_open.size() ? lesson.left_open[here.left_open] : 1;
    for (std::uint32_t number = 1; number < bound; ++number) schedules.push_back({{Kind::Pick, 0, here.left_open, number}, event, hold});
  }
}

std::vector<Schedule> directed_at(const Suspicion& suspicion, const Lesson& lesson, const AtSteps& at) {
  std::vector<std::uint64_t> before, behind{suspicion.step};
  for (const Point& point : lesson.points)
    if (point.processor == suspicion.processor && point.step != suspicion.step) (point.step < suspicion.step ? before : behind).push_back(point.step);
  std::vector<std::uint64_t> steps;
  for (std::size_t index = 0; index < std::max(before.size(), behind.size()); ++index) {
    if (index < behind.size()) steps.push_back(behind[index]);
    if (index < before.size()) steps.push_back(before[before.size() - 1 - index]);
  }
  std::vector<Schedule> schedules;
  for (const std::uint64_t step : steps) {
    if (const auto here = at.find(suspicion.processor, step)) add_arrivals(lesson, at.options(*here), schedules);
    if (schedules.size() >= kMostFor) break;
  }
  return schedules;
}

}  // namespace

std::vector<Schedule> directed_at_suspicions(const Lesson& lesson) {
  const AtSteps at(lesson.options);
  std::vector<std::vector<Schedule>> of_each;
  for (const Suspicion& suspicion : lesson.suspicions) of_each.push_back(directed_at(suspicion, lesson, at));
  std::vector<Schedule> all;
  std::set<Schedule> seen;
  for (std::size_t turn = 0; turn < kMostFor; ++turn)
    for (const std::vector<Schedule>& schedules : of_each)
      if (turn < schedules.size() && seen.insert(schedules[turn]).second) all.push_back(schedules[turn]);
  return all;
}

}  // namespace kdpc::explore
