// The shortest order that fails in the same way, in so far as it is found soon.
#pragma once
#include <functional>

#include "lab/explore.h"

namespace kdpc::lab {

struct Shortest {
  explore::Schedule schedule;
  unsigned runs = 0;  // that it took to find it
};

// `schedule` without the deviations that it does not need; and if many are left, another one that fails like it with fewer. `failed`: what came of it, alone. Depends on
// no clock, unless `enough` does: true of it ends the search with what there is.
Shortest shortest(Explorer& explorer, explore::Schedule schedule, const Execution& failed, const std::function<bool()>& enough);

}  // namespace kdpc::lab
