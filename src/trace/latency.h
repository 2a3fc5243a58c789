// How long ISRs and DPCs took, how long DPCs had to wait, and for whom: the one place where durations are computed.
//
//   ISR:   requested ---delay---> began ===run===> ended
//   DPC:   queued ---masked---> allowed ---behind---> began ===run===> ended
//
// masked: no drain ran on the DPC's processor: it was at a raised IRQL, or nobody had asked for a drain yet. behind: the drain ran, but others came
// first. Every nanosecond of both has a name: the routine, interrupt or thread that had the processor. A run counts twice: inclusive, from begin to
// end, and exclusive, without the interrupts that nested inside.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "machine/sink.h"
#include "trace/durations.h"

namespace kdpc {

class EventText;

// Who has a processor.
struct Holder {
  enum class What : std::uint8_t {
    Isr,
    Dpc,
    TimerDpc,
    Synchronized,
    ClockInterrupt,
    IpiInterrupt,
    RaisedThread,  // a thread at DISPATCH_LEVEL or above, outside any of those
    NobodyAsked,   // a thread below it: a drain was possible, but not requested
    Idle,          // the idle thread, between halting and the drain
    Drain,         // the drain itself, between two routines
  };
  What what = What::Idle;
  std::uintptr_t routine = 0;  // of ISR or DPC; of a raised thread: where it called what raised it, or else its start
  std::uint32_t thread = 0;    // who runs, or is interrupted
  bool operator==(const Holder&) const = default;
};
std::string text_of(const Holder& holder, EventText& text);  // "DPC nic!NicDpc", "thread 5 at raised IRQL in nic!NicRead+0x1c"

struct Wait {
  Holder whom;
  std::uint64_t nanoseconds = 0;
  bool masked = false;  // otherwise: behind
};

// One DPC, from being queued to its end.
struct DpcRun {
  std::uintptr_t dpc = 0;
  std::uintptr_t routine = 0;
  unsigned processor = 0;
  Holder queued_by;
  unsigned queued_on = 0;  // by which processor
  std::uint64_t queued = 0;
  std::uint64_t allowed = 0;
  std::uint64_t began = 0;
  std::uint64_t ended = 0;  // 0: still running
  std::vector<Wait> waits;  // in the order in which each began to be waited for
};

// One routine on one processor.
struct RoutineLatency {
  ActivityKind kind{};
  std::uintptr_t routine = 0;
  unsigned processor = 0;
  std::uint64_t claimed = 0;  // ISRs: how often it said that the interrupt was its own
  Durations inclusive;
  Durations exclusive;
  Durations delay;   // ISR: requested to began. DPC, threaded ones too: queued to began
  Durations masked;  // DPCs
  Durations behind;  // DPCs
};

class Latency : public EventSink {
 public:
  explicit Latency(unsigned processors, std::size_t keep_worst = 10);

  void event(const Stamp& stamp, const Event& event) override;
  std::size_t mark() override;
  void rewind(std::size_t mark) override;

  // Only these routines' DPCs compete for worst(); before this is called, all do.
  void watch(std::function<bool(std::uintptr_t routine)> which) { watched_ = std::move(which); }

  // By kind, then routine, then processor.
  std::vector<RoutineLatency> routines() const;
  // The DPCs that waited longest, the worst first.
  std::vector<DpcRun> worst() const;
  // How long ISRs and DPCs (with timers' DPCs) took on a processor in all, exclusive.
  std::uint64_t time_in_isrs(unsigned processor) const;
  std::uint64_t time_in_dpcs(unsigned processor) const;

 private:
  struct Open {
    ActivityKind kind;
    std::uintptr_t routine;
    std::uintptr_t object;
    std::uint64_t began;
    std::uint64_t nested = 0;
    std::size_t worst_run = 0;  // 1 + its serial number among the worst, or 0
  };
  struct Segment {
    std::uint64_t since;
    Holder holder;
    bool draining;
  };
  struct OfProcessor {
    std::vector<Open> open;  // what runs at DISPATCH_LEVEL or above, innermost last
    bool draining = false;
    std::uintptr_t caller = 0;                        // of the last routine entered below DISPATCH_LEVEL
    std::vector<Segment> history;                     // who had it, as far back as a queued DPC needs
    std::size_t queued = 0;                           // DPCs that wait for it
    std::map<std::uint8_t, std::uint64_t> requested;  // vectors that wait for their ISR, since when
  };
  struct Queued {
    std::uint64_t when;
    unsigned target;
    unsigned on;
    Holder by;
    bool threaded;  // it waits for its thread, not for a drain
  };
  struct Worst {
    std::size_t serial;
    DpcRun run;
  };
  using Key = std::tuple<ActivityKind, std::uintptr_t, unsigned>;
  struct State {
    std::vector<OfProcessor> processors;
    std::map<std::uint32_t, std::vector<Open>> threads;        // work items and driver routines below DISPATCH_LEVEL
    std::unordered_map<std::uintptr_t, Queued> queued;         // by DPC
    std::unordered_map<std::uint32_t, std::uintptr_t> starts;  // threads' start routines
    std::unordered_map<std::uintptr_t, std::uint8_t> vectors;  // of interrupt objects
    std::map<Key, RoutineLatency> routines;
    std::vector<Worst> worst;
    std::size_t serials = 0;
  };

  Holder holder_of(const OfProcessor& processor, unsigned irql, std::uint32_t thread) const;
  void began(const Stamp& stamp, const ActivityBegan& began);
  void ended(const Stamp& stamp, const ActivityEnded& ended);
  std::size_t started(const Stamp& stamp, const ActivityBegan& began, RoutineLatency& statistics);
  void threaded_started(const Stamp& stamp, const ActivityBegan& began);
  void forget(std::uintptr_t dpc);
  RoutineLatency& of(ActivityKind kind, std::uintptr_t routine, unsigned processor);

  unsigned processors_;
  std::size_t keep_worst_;
  std::function<bool(std::uintptr_t routine)> watched_;
  State state_;
  std::vector<State> marks_;
};

}  // namespace kdpc
