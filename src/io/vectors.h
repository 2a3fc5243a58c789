// How lines and messages get their vectors: NT's levels for devices in turn, from the highest down. Lines take the lowest free vector of a level,
// messages the highest, so that a line's vector hardly depends on what else there is.
#pragma once
#include <bitset>
#include <cstdint>
#include <vector>

namespace kdpc::io {

inline constexpr unsigned kLowestDeviceLevel = 3, kHighestDeviceLevel = 11, kVectorsPerLevel = 16;

using VectorsInUse = std::bitset<256>;

// The vector that a line has if it is free. 0: there is none for so high a number.
constexpr std::uint8_t vector_of_line(unsigned line) {
  constexpr unsigned kLevels = kHighestDeviceLevel - kLowestDeviceLevel + 1;
  if (line >= kLevels * kVectorsPerLevel) return 0;
  return static_cast<std::uint8_t>((kHighestDeviceLevel - line % kLevels) * kVectorsPerLevel + line / kLevels);
}

// That one, or the next free one in the same order, around the end. 0: there are no more vectors. Notes it as used.
std::uint8_t vector_for_line(VectorsInUse& in_use, unsigned line);

// One vector for each of `wanted` messages; exactly one if there are not as many left or more than `most` (INT-10); none if there is none at all.
// Consecutive: of one level, message 0 at a multiple of the number of messages, as a PCI 2.2 function sends base + message.
std::vector<std::uint8_t> vectors_for_messages(VectorsInUse& in_use, unsigned wanted, unsigned most, bool consecutive);

}  // namespace kdpc::io
