// Schedules directed at a suspicion: two accesses of the same memory that only chance has ordered. If it is a race, the two can meet, or come the other way
// round; then it is certain, or something breaks.
//
// The first one's processor is held before its access until the other has come, if it comes by itself; or the event comes there that starts the other, on the
// same processor or on another one. The same is tried further and further behind it, where the first may still rely on what it has seen, and before it, as it
// may have a lock there that the other waits for.
//
//   K.EXPLORE-7  For a suspicion there are at most kMostFor schedules.
#pragma once
#include <vector>

#include "check/explore/moves.h"

namespace kdpc::explore {

inline constexpr std::size_t kMostFor = 40;

// For all suspicions of the default order, in turn, each once.
std::vector<Schedule> directed_at_suspicions(const Lesson& lesson);

}  // namespace kdpc::explore
