// What a bug check and its four parameters mean, for people: WinDbg's shape, our words.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace kdpc::view {

struct StopMeaning {
  std::string about;                      // of the code, or of the code with its first parameter
  std::array<std::string, 4> parameters;  // "Reserved." where there is nothing to say
};
StopMeaning meaning_of(std::uint32_t code, std::uint64_t first_parameter);

std::vector<std::uint32_t> explained_stops();  // all codes the kernel stops with, each once

}  // namespace kdpc::view
