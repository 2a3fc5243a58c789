// What has happened before what, as numbers.
//
// Time of a lane is counted in epochs: a new one begins with every activity on it, and whenever something of it is handed over. A clock has for each
// lane the epoch up to which everything is known to have happened before.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kdpc::race {

using Epoch = std::uint32_t;
using LaneId = std::uint16_t;

class Clock {
 public:
  Epoch operator[](LaneId lane) const { return lane < kNear ? near_[lane] : lane - kNear < far_.size() ? far_[lane - kNear] : 0; }
  void join(const Clock& other) {
    for (std::size_t lane = 0; lane < kNear; ++lane) near_[lane] = std::max(near_[lane], other.near_[lane]);
    if (far_.size() < other.far_.size()) far_.resize(other.far_.size());
    for (std::size_t lane = 0; lane < other.far_.size(); ++lane) far_[lane] = std::max(far_[lane], other.far_[lane]);
  }
  void raise(LaneId lane, Epoch epoch) {
    if (lane >= kNear && far_.size() <= lane - kNear) far_.resize(lane - kNear + std::size_t{1});
    Epoch& known = lane < kNear ? near_[lane] : far_[lane - kNear];
    known = std::max(known, epoch);
  }
  void clear() {
    near_.fill(0);
    far_.clear();
  }

 private:
  static constexpr std::size_t kNear = 32;  // so many need no memory of their own: more than a small driver's life has
  std::array<Epoch, kNear> near_{};
  std::vector<Epoch> far_;
};

// `hard`: what happens before in every run in which both happen, because one is the cause of the other: a DPC runs after it was queued.
// `full`: and also what only happened so in this run, since one of them had the lock, or the processor, first.
//
//   K.RACE-1  What is in `hard` is in `full`.
struct Order {
  Clock hard;
  Clock full;

  void join(const Order& other) {
    hard.join(other.hard);
    full.join(other.full);
  }
  void raise(LaneId lane, Epoch epoch) {
    hard.raise(lane, epoch);
    full.raise(lane, epoch);
  }
  void clear() {
    hard.clear();
    full.clear();
  }
};

}  // namespace kdpc::race
