// In which order schedules are tried when nobody says what to do: the default order; then every one with one move, then those with two; in turn with those that
// are directed at what the default order made look suspicious, with some that are drawn by priorities, with some that wander, and,
// once each move has been tried, with the reduction. It ends when the bound is reached and the reduction has no more to try, unless it may draw on.
//
// Several campaigns may share the work: each is told which of how many it is, and none tries what another one does, but for the default order and what is drawn
// at random. What a campaign tries depends on nothing but its settings and on what it learned.
#pragma once
#include <cstdint>
#include <optional>

#include "check/explore/bounded.h"
#include "check/explore/priorities.h"
#include "check/explore/reduction.h"
#include "check/explore/wander.h"

namespace kdpc::explore {

struct CampaignSettings {
  std::uint64_t seed = 1;
  unsigned bound = 2;   // moves in a schedule of the bounded search
  bool wanders = true;  // also behind the bound, without an end
  bool reduces = true;  // the first of those that share the work does, as what the reduction tries depends on all that it has tried
  unsigned which = 0, of = 1;
};

// What has been tried. A schedule that is run again, only to be learned from, does not count again.
struct Coverage {
  std::uint64_t moves = 0;         // there are in the default order
  std::uint64_t attempts[3] = {};  // with none, one, more moves
  std::uint64_t wandered = 0;
  std::uint64_t directed = 0;  // at suspicions
  std::uint64_t reduced = 0;   // by the reduction
  unsigned complete = 0;       // every schedule of this campaign with so many moves has been tried, and fewer
  bool exhaustive = false;     // the reduction has come to its end
};

class Campaign {
 public:
  explicit Campaign(const CampaignSettings& settings)
      : settings_(settings),
        bounded_(settings.bound, settings.which, settings.of),
        priorities_(settings.seed * 0x1000003 + settings.which),
        wander_(bounded_.first_level(), settings.seed * 0x1000003 + settings.which),
        reduction_(settings.reduces && settings.which == 0) {}
  Campaign(const Campaign&) = delete;  // its parts know each other
  Campaign& operator=(const Campaign&) = delete;

  // The next schedule to try; none: there is nothing left.
  std::optional<Attempt> next();
  void learned(const Attempt& attempt, const Lesson& lesson);  // the last one, if it wanted it
  void learned(const Trail& trail);                            // of the last one, if it came from the reduction
  const Coverage& coverage() const { return coverage_; }

 private:
  using Source = Attempt::Source;
  static constexpr unsigned kTakeTurns = 4;  // of them, those that have something to try
  static constexpr std::uint64_t kReducesEvery = 8;
  bool has(Source source) const;
  std::optional<Attempt> systematic();
  std::optional<Attempt> reduced();

  CampaignSettings settings_;
  Bounded bounded_;
  Priorities priorities_;
  Wander wander_;
  Reduction reduction_;
  Coverage coverage_;
  std::vector<Schedule> directed_;
  std::size_t next_directed_ = 0;
  std::uint64_t asked_ = 0;
  Source turn_ = Source::Wander;  // whose it was
  bool exhausted_ = false;        // the bounded search
};

}  // namespace kdpc::explore
