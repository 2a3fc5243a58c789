// What the processors did around the deviations of a schedule that a run has followed: who ran there, what was called, and which memory that others touch too was
// accessed. A sink of the simulated machine.
#pragma once
#include <functional>
#include <vector>

#include "check/explore/schedule.h"
#include "machine/sink.h"

namespace kdpc::explore {

struct Row {
  enum class Kind : std::uint8_t {
    Began,      // what `number`, an ActivityKind, says; `at` is its routine
    Ended,      // the same
    Thread,     // `number` runs now
    Called,     // the export `number`, from `at`
    Read,       // by the instruction before `at`; by a device, if that is 0
    Written,    // the same
    Stopped,    // bug check `number`
    Deviation,  // the schedule's, `number`
    GoesOn,     // the processor that was held by the schedule's deviation `number`
    LeftOut,    // so many rows
    Other       // that it went on is all that counts
  } kind = Kind::Other;
  std::uint16_t processor = 0;
  std::uint8_t irql = 0;
  std::uint64_t step = 0;
  std::uintptr_t at = 0;
  std::uint64_t number = 0;
  std::uintptr_t granule = 0;  // of an access: which eight bytes
  std::uint32_t lane = 0;      // of an access: equal for those who cannot interrupt each other
};

class TimeLine final : public EventSink {
 public:
  static constexpr std::size_t kBefore = 4, kBehind = 8;  // rows shown around a deviation
  static constexpr std::size_t kEnd = 8;                  // and at the end

  // In the order in which they happened; empty if nothing in the schedule has a place. `tells`: whether a row is worth a line at all.
  std::vector<Row> rows(const Schedule& schedule, const std::function<bool(const Row&)>& tells) const;

  void event(const Stamp& stamp, const Event& event) override;
  bool wants_accesses() const override { return true; }
  void accesses(const Stamp& stamp, std::span<const Access> batch) override;
  std::size_t mark() override { return heard_.size(); }
  void rewind(std::size_t mark) override { heard_.resize(mark); }

 private:
  static constexpr std::size_t kMost = 1'000'000;  // of a longer run the rest is not told
  std::vector<Row> heard_;
};

}  // namespace kdpc::explore
