// How what exploring has found reads.
#pragma once
#include <string>

#include "check/explore/campaign.h"
#include "check/explore/record.h"
#include "check/explore/time_line.h"
#include "lab/explore.h"

namespace kdpc::lab {

// Of a run by this kdpc, as it stands in a file; whose life it was, of which drivers and with which boards says who writes it.
explore::Record record_of(const explore::Schedule& schedule, const Execution& execution, bool races);
// Why its deviations do not mean what they did, as the beginning of a sentence: `board N` is another one. Empty: they do, or there is none.
std::string why_other_boards(const explore::Record& was, const std::string& boards);
// Why the run of `is` is not the one that was recorded, as the beginning of a sentence: what it depends on that has changed, if anything has, and the hashes.
// Empty: it is the same run. Of the schedule's deviations `missed` were not possible, or never come to.
std::string how_it_differs(const explore::Record& was, const explore::Record& is, std::size_t missed);

std::string why_no_bound(unsigned bound);  // of moves, as words that follow the name of what says it; empty: it is one

std::string indented(const std::string& text);
std::string counted(std::uint64_t number, std::string_view what);  // "1 schedule", "2 schedules"
std::string how_it_ended(const Execution& execution);              // several lines
// What led to it: the processors around the deviations, and how it ended.
std::string how_it_came(const explore::TimeLine& line, const explore::Schedule& schedule, const Machine& machine);
// The schedule, and both.
std::string order_of_failure(const explore::TimeLine& line, const explore::Schedule& schedule, const Execution& execution, const Machine& machine);
std::string covered(const explore::Coverage& coverage);  // what was tried, as a part of a sentence
std::string not_alone_text(std::uint64_t orders);  // so many failed because of what had been run before (K.EXPLORE-10): the beginning of a sentence

}  // namespace kdpc::lab
