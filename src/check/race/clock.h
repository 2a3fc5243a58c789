// What has happened before what, as numbers.
//
// Time of a lane is counted in epochs: a new one begins with every activity on it, and whenever something of it is handed over. A clock has for each
// lane the epoch up to which everything is known to have happened before.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kdpc::race {

using Epoch = std::uint32_t;
using LaneId = std::uint16_t;

class Clock {
 public:
  Epoch operator[](LaneId lane) const { return lane < epochs_.size() ? epochs_[lane] : 0; }
  void join(const Clock& other) {
    if (epochs_.size() < other.epochs_.size()) epochs_.resize(other.epochs_.size());
    for (std::size_t lane = 0; lane < other.epochs_.size(); ++lane) epochs_[lane] = std::max(epochs_[lane], other.epochs_[lane]);
  }
  void raise(LaneId lane, Epoch epoch) {
    if (epochs_.size() <= lane) epochs_.resize(lane + std::size_t{1});
    epochs_[lane] = std::max(epochs_[lane], epoch);
  }
  void clear() { epochs_.clear(); }

 private:
  std::vector<Epoch> epochs_;
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
