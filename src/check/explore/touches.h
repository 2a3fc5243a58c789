// What an execution touched, in the order in which it happened: from which a strategy learns where to deviate. A sink of the simulated machine.
//
// Worth a deviation are the calls a driver makes; the moment when one has woken somebody and has not come back yet; that before which another processor would
// take up the thread that was woken for it; and accesses, the kernel's for a driver included, to what somebody else touches too, if one of the two writes.
// Somebody else is another thread, code of another level or processor, or a device: what cannot interrupt each other cannot meet.
#pragma once
#include <set>
#include <vector>

#include "machine/sink.h"

namespace kdpc::explore {

struct Point {
  std::uint16_t processor;
  std::uint64_t step;
  std::uintptr_t pc;  // of the access; the caller's of a call, or the next one if it has woken somebody
  // A timer has been set and not been cancelled since, though it may have expired; or somebody waits, perhaps with a time limit.
  bool timers;
  bool access = false;  // the step is one, before which nobody may have been asked (at_steps.h)
};

class Touches final : public EventSink {
 public:
  // As many are enough of a driver that never ends; all of them would be gigabytes.
  static constexpr std::size_t kMostTouches = 2'000'000;

  void listen(bool wanted);  // to the beginning of the next execution, up to kMostTouches: forgets what was heard
  // The points worth a deviation, in order, each once.
  std::vector<Point> points() const;

  void event(const Stamp& stamp, const Event& event) override;
  bool wants_accesses() const override { return true; }
  void accesses(const Stamp& stamp, std::span<const Access> batch) override;

 private:
  struct Touch {
    Point point;
    std::uintptr_t granule;  // 0: a call
    std::uint32_t lane;
    bool write;
  };
  bool hears() const { return listens_ && touches_.size() < kMostTouches; }
  void touch(const Stamp& stamp, const Point& point, std::uintptr_t at, std::size_t size, bool write);
  bool may_wait_for_time() const { return timers_ != 0 || !waiting_.empty(); }

  bool listens_ = false;
  std::uint64_t timers_ = 0;
  std::set<std::uint32_t> waiting_;      // threads, since it listens
  std::vector<std::uintptr_t> callers_;  // by processor: of the last call
  std::vector<std::uint64_t> steps_;     // by processor: how many it has taken
  std::vector<Touch> touches_;
};

}  // namespace kdpc::explore
