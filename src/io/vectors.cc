#include "io/vectors.h"

#include <bit>

namespace kdpc::io {

namespace {

constexpr unsigned kDeviceVectors = (kHighestDeviceLevel - kLowestDeviceLevel + 1) * kVectorsPerLevel;

// Level by level from the highest, and of each level the highest vector that is free.
std::vector<std::uint8_t> one_by_one(const VectorsInUse& in_use, unsigned count) {
  std::vector<std::uint8_t> vectors;
  for (unsigned offset = kVectorsPerLevel; offset-- > 0;)
    for (unsigned level = kHighestDeviceLevel; level >= kLowestDeviceLevel && vectors.size() < count; --level)
      if (const unsigned vector = level * kVectorsPerLevel + offset; !in_use[vector]) vectors.push_back(static_cast<std::uint8_t>(vector));
  return vectors;
}

std::vector<std::uint8_t> in_a_row(const VectorsInUse& in_use, unsigned count) {
  std::vector<std::uint8_t> vectors;
  if (count > kVectorsPerLevel) return vectors;
  const unsigned step = std::bit_ceil(count);
  for (unsigned end = kVectorsPerLevel; end >= step; end -= step)
    for (unsigned level = kHighestDeviceLevel; level >= kLowestDeviceLevel; --level) {
      const unsigned base = level * kVectorsPerLevel + end - step;
      unsigned free = 0;
      while (free < count && !in_use[base + free]) ++free;
      if (free < count) continue;
      for (unsigned message = 0; message < count; ++message) vectors.push_back(static_cast<std::uint8_t>(base + message));
      return vectors;
    }
  return vectors;
}

}  // namespace

std::uint8_t vector_for_line(VectorsInUse& in_use, unsigned line) {
  for (unsigned turn = 0; turn < kDeviceVectors; ++turn) {
    const std::uint8_t vector = vector_of_line((line + turn) % kDeviceVectors);
    if (in_use[vector]) continue;
    in_use.set(vector);
    return vector;
  }
  return 0;
}

std::vector<std::uint8_t> vectors_for_messages(VectorsInUse& in_use, unsigned wanted, unsigned most, bool consecutive) {
  std::vector<std::uint8_t> vectors;
  if (wanted == 0 || most == 0) return vectors;
  if (wanted <= most) vectors = consecutive ? in_a_row(in_use, wanted) : one_by_one(in_use, wanted);
  if (vectors.size() < wanted) vectors = one_by_one(in_use, 1);
  for (const std::uint8_t vector : vectors) in_use.set(vector);
  return vectors;
}

}  // namespace kdpc::io
