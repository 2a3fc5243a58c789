// What a driver takes, it gives back: after a routine that takes something, the one that gives it back, with its arguments.
#pragma once
#include <array>
#include <optional>

#include "tests/fuzz/exports.h"

namespace kdpc::fuzz {

struct GivingBack {
  unsigned routine;
  std::array<std::uint64_t, kMostArguments> values;
};

// Nothing, if the routine takes nothing or has failed.
std::optional<GivingBack> giving_back(unsigned routine, const std::uint64_t* values, std::uint64_t result, Random& random);

}  // namespace kdpc::fuzz
