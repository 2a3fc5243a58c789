// Several processes explore one scenario, as a process has one machine: each tries what no other one tries, but for the default order
// and what is drawn at random.
//
// Which failure is told depends on no clock: the one with the lowest number among all that anybody could have come to.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "check/explore/campaign.h"
#include "tools/kdpc/scenario_life.h"

namespace kdpc::tool {

struct ExploreWish {
  double seconds = 10;          // of the host's; 0: until nothing is left to try. A run that is under way may take as long again, and kLeastPatience
  std::uint64_t schedules = 0;  // 0: no limit
  unsigned jobs = 1;
  bool faults = false;
  explore::CampaignSettings campaign;
};

constexpr double kLeastPatience = 10;  // s: there are short campaigns of long runs on busy hosts

struct Failure {
  std::uint64_t number = 0;  // of its schedule, from 1
  explore::Schedule schedule;
  bool directed = false;  // at a suspicion of the default order
};

// An exploring process has died: a bug of kdpc's, or a driver that has brought the process down.
struct Crash {
  std::string how;             // "signal 11"
  explore::Schedule schedule;  // that it was running
};

struct Explored {
  std::optional<Failure> failure;
  std::optional<Crash> crash;  // the first one; the others have gone on
  std::uint64_t schedules = 0;
  std::uint64_t not_alone = 0;    // of them: failed, but not when run alone (lab/explore.h)
  explore::Coverage coverage;     // of all together
  bool exhausted = false;         // nothing was left to try within the bound
  bool given_up = false;          // somebody was still in the middle of a run when all patience was over
  std::optional<Refusal> broken;  // why this is not all that was to be: an explorer could not begin, or has not ended in order
};

// `life` has been read, and has no machine yet. `progress` is told how many schedules have been tried, now and then.
Explored explore_with(ScenarioLife& life, const ExploreWish& wish, const std::function<void(std::uint64_t)>& progress);

}  // namespace kdpc::tool
