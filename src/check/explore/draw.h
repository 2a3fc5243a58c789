// Numbers that look random and depend on nothing but a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#pragma once
#include <cstdint>

namespace kdpc::explore {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  // The bias of the remainder does not matter here.
  std::uint64_t below(std::uint64_t bound) {
    std::uint64_t mixed = state_ += 0x9E3779B97F4A7C15;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return (mixed ^ mixed >> 31) % bound;
  }

 private:
  std::uint64_t state_;
};

}  // namespace kdpc::explore
