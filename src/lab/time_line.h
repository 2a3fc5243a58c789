// A run's time line, as text: a column for each processor that takes part.
#pragma once
#include <string>

#include "check/explore/time_line.h"
#include "kdpc/lab.h"

namespace kdpc::lab {

// Lines; none if the schedule has no deviation with a place. The machine is where the run has left it.
std::string text_of(const explore::TimeLine& line, const explore::Schedule& schedule, const Machine& machine);
// "Function, file.c:12": where the instruction before `at` is.
std::string text_before(std::uintptr_t at, const Machine& machine);

}  // namespace kdpc::lab
