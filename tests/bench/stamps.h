// Time by the processor's own counter, which every processor of one machine has in step.
#pragma once
#include <x86intrin.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "figures.h"

namespace kdpc::bench {

inline std::uint64_t stamp() {
  unsigned processor;
  const std::uint64_t now = __rdtscp(&processor);  // what came before has ended …
  _mm_lfence();                                    // … and nothing of what follows has begun
  return now;
}

// Measured once, for as long as makes the two readings of the clock not matter.
inline double nanoseconds_per_tick() {
  static const double length = [] {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    const std::uint64_t first = stamp();
    while (Clock::now() - start < std::chrono::milliseconds(20)) _mm_pause();
    const std::uint64_t last = stamp();
    return std::chrono::duration<double, std::nano>(Clock::now() - start).count() / static_cast<double>(last - first);
  }();
  return length;
}

inline void spin_for(std::chrono::nanoseconds time) {
  const auto ticks = static_cast<std::uint64_t>(static_cast<double>(time.count()) / nanoseconds_per_tick());
  for (const std::uint64_t start = stamp(); stamp() - start < ticks;) _mm_pause();
}

// Many spans of time, of which a few were the host's own doing: so they are told by percentile.
class Samples {
 public:
  explicit Samples(std::size_t expected = 1 << 20) { ticks_.reserve(expected); }
  // The array is as long as it was made: nothing is allocated while times are taken.
  void add(std::uint64_t from, std::uint64_t to) {
    if (ticks_.size() < ticks_.capacity()) ticks_.push_back(static_cast<double>(static_cast<std::int64_t>(to - from)));
  }
  bool empty() const { return ticks_.empty(); }
  void clear() { ticks_.clear(); }
  std::vector<double> sorted() const {
    std::vector<double> sorted = ticks_;
    std::sort(sorted.begin(), sorted.end());
    return sorted;
  }
  double nanoseconds(double percent) const { return percentile(sorted(), percent) * nanoseconds_per_tick(); }

 private:
  std::vector<double> ticks_;
};

}  // namespace kdpc::bench
