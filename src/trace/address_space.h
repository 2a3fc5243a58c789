// Which addresses are the same in every run. The World and the images of drivers are at fixed places; what the host's loader and its heap hand out
// is not.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/fixed_places.h"

namespace kdpc {

inline constexpr std::uintptr_t kFixedBegin = kWorldBase;
inline constexpr std::uintptr_t kFixedEnd = kDriversEnd;
inline constexpr std::uintptr_t kHostEnd = 0x800000000000;

constexpr bool is_fixed(std::uintptr_t address) { return address >= kFixedBegin && address < kFixedEnd; }

// An address of the host, or none at all: a small number, a pattern, something non-canonical.
constexpr bool is_number(std::uintptr_t address) { return address < kFixedBegin || address >= kHostEnd; }

// An image of the host: the executable is "<program>", a library goes by its file name.
struct HostImage {
  std::string_view name;
  std::uintptr_t base = 0;
};
// False: not inside any image (heap, stack).
bool find_host_image(std::uintptr_t address, HostImage& image);

// Names host memory that belongs to no image: the first one seen is 1, the next 2, … so that equal runs have equal names.
class HostOrdinals {
 public:
  std::uint64_t of(std::uintptr_t address) {
    const auto [at, is_new] = ordinals_.try_emplace(address, seen_.size() + 1);
    if (is_new) seen_.push_back(address);
    return at->second;
  }
  std::size_t count() const { return seen_.size(); }
  void forget_after(std::size_t count) {
    for (; seen_.size() > count; seen_.pop_back()) ordinals_.erase(seen_.back());
  }

 private:
  std::unordered_map<std::uintptr_t, std::uint64_t> ordinals_;
  std::vector<std::uintptr_t> seen_;
};

}  // namespace kdpc
