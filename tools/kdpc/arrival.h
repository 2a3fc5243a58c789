// Whether what was sent has arrived, in whatever order things happened: nothing is lost, added or changed that nobody has counted.
//
// What is wrong comes as words, the first line of which has no numbers: the same mistake has the same one. Empty: nothing.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tools/kdpc/recording.h"

namespace kdpc::tool {

// `overrun`: the numbers of the characters for which the chip had no room, in order; `lost_by_driver`: how many more the driver has counted.
std::string judge_line(std::string_view sent, std::string_view arrived, const std::vector<std::size_t>& overrun, std::uint64_t lost_by_driver);

// Silence is passed over, where it belongs to the sound too: a card that is served late is silent for a while. `whole`: all of it was to be heard; otherwise any
// of it may be missing.
std::string judge_sound(std::span<const Frame> given, std::span<const Frame> heard, bool whole);

}  // namespace kdpc::tool
