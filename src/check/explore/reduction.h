// The reduction (dpor.h) as a part of a campaign: as long as it may come to its end soon enough, each of its schedules is an attempt.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

#include "check/explore/dpor.h"
#include "check/explore/moves.h"

namespace kdpc::explore {

class Reduction {
 public:
  explicit Reduction(bool wanted) : goes_on_(wanted) {}
  std::optional<Attempt> next();
  void learned(const Trail& trail);  // of the last one

  std::uint64_t tried() const { return dpor_.tried(); }
  bool is_complete() const { return complete_; }  // every order ends like one that was tried

 private:
  static constexpr std::uint64_t kMost = 4'000;   // schedules
  static constexpr std::size_t kLongest = 5'000;  // transitions in one
  // The clock comes early in one so often: where it always can there is no end, and whoever waits only so long would be told that time has passed.
  static constexpr std::ptrdiff_t kMostClocks = 32;
  bool goes_on_, complete_ = false;
  Dpor dpor_;
};

}  // namespace kdpc::explore
