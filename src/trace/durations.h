// Many lengths of time as a few numbers: how many, how long in all, the longest, and how they are spread.
//
// The spread is kept in buckets that grow with the value, 32 to each power of two: a percentile is at most 3 % too high.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kdpc {

class Durations {
 public:
  void add(std::uint64_t nanoseconds) {
    ++count_;
    total_ += nanoseconds;
    if (nanoseconds > longest_) longest_ = nanoseconds;
    const std::size_t bucket = bucket_of(nanoseconds);
    if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
    ++buckets_[bucket];
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t total() const { return total_; }
  std::uint64_t longest() const { return longest_; }
  std::uint64_t mean() const { return count_ == 0 ? 0 : total_ / count_; }

  // The smallest value that `share` (0…1) of all do not exceed.
  std::uint64_t percentile(double share) const {
    const double exact = share * static_cast<double>(count_);
    auto wanted = static_cast<std::uint64_t>(exact);
    if (static_cast<double>(wanted) < exact || wanted == 0) ++wanted;
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen >= wanted) return highest_in(bucket) < longest_ ? highest_in(bucket) : longest_;
    }
    return longest_;
  }

  // visit(lowest, highest, count) for each bucket in use, in ascending order.
  template <class Visit>
  void each_bucket(Visit&& visit) const {
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket)
      if (buckets_[bucket] != 0) visit(bucket == 0 ? 0 : highest_in(bucket - 1) + 1, highest_in(bucket), buckets_[bucket]);
  }

  void merge(const Durations& other) {
    count_ += other.count_;
    total_ += other.total_;
    if (other.longest_ > longest_) longest_ = other.longest_;
    if (other.buckets_.size() > buckets_.size()) buckets_.resize(other.buckets_.size());
    for (std::size_t bucket = 0; bucket < other.buckets_.size(); ++bucket) buckets_[bucket] += other.buckets_[bucket];
  }

 private:
  static constexpr unsigned kBits = 5;
  static constexpr std::uint64_t kPerOctave = std::uint64_t{1} << kBits;

  static std::size_t bucket_of(std::uint64_t value) {
    if (value < kPerOctave) return static_cast<std::size_t>(value);
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
    return static_cast<std::size_t>(shift * kPerOctave + (value >> shift));
  }
  static std::uint64_t highest_in(std::size_t bucket) {
    if (bucket < 2 * kPerOctave) return bucket;
    const std::uint64_t shift = bucket / kPerOctave - 1;
    const std::uint64_t first = bucket - shift * kPerOctave;
    return ((first + 1) << shift) - 1;
  }

  std::uint64_t count_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t longest_ = 0;
  std::vector<std::uint64_t> buckets_;
};

}  // namespace kdpc
