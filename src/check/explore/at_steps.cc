#include "check/explore/at_steps.h"

#include <algorithm>

namespace kdpc::explore {

AtSteps::AtSteps(const std::vector<Options>& notes) : notes_(notes) {
  for (std::size_t note = 0; note < notes.size(); ++note) {
    if (notes[note].processor >= of_.size()) of_.resize(notes[note].processor + 1u);
    of_[notes[note].processor].push_back(note);
  }
}

std::optional<AtSteps::Place> AtSteps::find(std::uint16_t processor, std::uint64_t step) const {
  if (processor >= of_.size()) return {};
  const std::vector<std::size_t>& its = of_[processor];
  const auto behind = std::partition_point(its.begin(), its.end(), [&](std::size_t note) { return notes_[note].step <= step; });
  if (behind == its.begin()) return {};
  return Place{*(behind - 1), step};
}

std::optional<AtSteps::Place> AtSteps::find(const Point& point) const {
  const auto found = find(point.processor, point.step);
  return found && (point.access || notes_[found->note].step == point.step) ? found : std::nullopt;
}

AtSteps::Place AtSteps::of_pick(std::uint64_t which) const {
  const auto behind = std::partition_point(notes_.begin(), notes_.end(), [which](const Options& note) { return note.left_open <= which; });
  if (behind == notes_.begin()) return {};
  return {static_cast<std::size_t>(behind - notes_.begin()) - 1, (behind - 1)->step};
}

Options AtSteps::options(const Place& place) const {
  Options options = notes_[place.note];
  if (options.step == place.step) return options;
  options.step = place.step;
  options.may_fail = 0;  // that was the call
  options.delays.clear();
  for (Deviation& event : options.events) event.step = place.step;
  return options;
}

}  // namespace kdpc::explore
