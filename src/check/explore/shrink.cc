#include "check/explore/shrink.h"

#include <algorithm>

namespace kdpc::explore {

Schedule shrink(Schedule schedule, const std::function<bool(const Schedule&)>& fails) {
  std::size_t piece = schedule.size();
  while (piece != 0 && !schedule.empty()) {
    bool smaller = false;
    for (std::size_t begin = 0; begin < schedule.size();) {
      const std::size_t end = std::min(begin + piece, schedule.size());
      Schedule without(schedule.begin(), schedule.begin() + static_cast<std::ptrdiff_t>(begin));
      without.insert(without.end(), schedule.begin() + static_cast<std::ptrdiff_t>(end), schedule.end());
      if (fails(without)) {
        schedule = std::move(without);
        smaller = true;
      } else {
        begin = end;
      }
    }
    if (!smaller || piece > schedule.size()) piece = piece == 1 ? (smaller ? 1 : 0) : (piece + 1) / 2;
  }
  return schedule;
}

}  // namespace kdpc::explore
