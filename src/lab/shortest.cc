#include "lab/shortest.h"

#include <utility>

#include "check/explore/shrink.h"

namespace kdpc::lab {

namespace {

constexpr std::size_t kEasilyRead = 3;                // deviations
constexpr unsigned kRuns = 3'000, kRunsForEver = 30;  // the latter of a driver that never ends, which takes long each time
constexpr unsigned kRunsForAnother = 1'000;           // orders, of which few fail

}  // namespace

Shortest shortest(Explorer& explorer, explore::Schedule schedule, const Execution& failed, const std::function<bool()>& enough) {
  const unsigned most = failed.outcome.how == Ended::NoProgress ? kRunsForEver : kRuns;
  Shortest found{std::move(schedule)};
  const auto may_run = [&] { return found.runs < most && !enough(); };
  const auto fails = [&](const explore::Schedule& other) {
    if (!may_run()) return false;
    ++found.runs;
    return explorer.run_alone(other).key == failed.key;
  };
  found.schedule = explore::shrink(std::move(found.schedule), fails);
  explore::Campaign campaign({.bound = 1, .reduces = false});
  for (unsigned others = 0; others < kRunsForAnother && found.schedule.size() > kEasilyRead && may_run(); ++others) {
    const auto attempt = campaign.next();
    if (!attempt) break;
    ++found.runs;
    if (explorer.carry_out(*attempt, campaign).key != failed.key || !fails(attempt->schedule)) continue;
    explore::Schedule other = explore::shrink(attempt->schedule, fails);
    if (other.size() < found.schedule.size()) found.schedule = std::move(other);
  }
  return found;
}

}  // namespace kdpc::lab
