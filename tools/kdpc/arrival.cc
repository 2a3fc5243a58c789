#include "tools/kdpc/arrival.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::tool {

std::string judge_line(std::string_view sent, std::string_view arrived, const std::vector<std::size_t>& overrun, std::uint64_t lost_by_driver) {
  std::size_t next = 0;
  for (std::size_t number = 0; number < sent.size(); ++number) {
    if (std::binary_search(overrun.begin(), overrun.end(), number)) continue;
    if (next < arrived.size() && arrived[next] == sent[number]) {
      ++next;
    } else if (lost_by_driver == 0) {
      return fmt::format(
          "Bytes were lost or changed on the way, and nobody has counted them.\n"
          "Of {} bytes {} arrived; the first that is not the next one, or is missing, is number {}.",
          sent.size(), arrived.size(), next);
    } else {
      --lost_by_driver;
    }
  }
  if (next == arrived.size()) return {};
  return fmt::format("More bytes arrived than were sent.\nOf {} bytes {} arrived.", sent.size(), arrived.size());
}

std::string judge_sound(std::span<const Frame> given, std::span<const Frame> heard, bool whole) {
  const auto skip_silence = [](std::span<const Frame> frames, std::size_t& at) {
    while (at < frames.size() && frames[at].is_silent()) ++at;
    return at < frames.size();
  };
  std::size_t from = 0, to = 0;
  for (; skip_silence(heard, to); ++from, ++to) {
    while (skip_silence(given, from) && given[from] != heard[to] && !whole) ++from;
    if (from == given.size() || given[from] != heard[to])
      return fmt::format("Other sound was heard than was given.\nIt is the frame {} of what was heard, where frame {} was due.", to, from);
  }
  if (!whole || !skip_silence(given, from)) return {};
  return fmt::format("Not all sound was heard, though the driver said so.\nOf {} frames those from {} on are missing.", given.size(), from);
}

}  // namespace kdpc::tool
