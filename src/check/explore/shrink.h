// The least that still does it: a schedule without any deviation that is not needed (delta debugging; Zeller and Hildebrandt, 2002).
#pragma once
#include <functional>

#include "check/explore/schedule.h"

namespace kdpc::explore {

// `fails` runs a schedule and says whether the same came of it; it is true of `schedule`.
Schedule shrink(Schedule schedule, const std::function<bool(const Schedule&)>& fails);

}  // namespace kdpc::explore
