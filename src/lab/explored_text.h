// How what exploring has found reads.
#pragma once
#include <string>

#include "check/explore/campaign.h"
#include "check/explore/time_line.h"
#include "lab/explore.h"

namespace kdpc::lab {

std::string indented(const std::string& text);
std::string how_it_ended(const Execution& execution);  // several lines
// What led to it: the processors around the deviations, and how it ended.
std::string how_it_came(const explore::TimeLine& line, const explore::Schedule& schedule, const Machine& machine);
std::string covered(const explore::Coverage& coverage);  // what was tried, as a part of a sentence

}  // namespace kdpc::lab
