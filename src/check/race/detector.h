// The race detector: facts and accesses in, races out.
//
// Two accesses of the same bytes race when at least one of them writes and nothing orders them (ordering.h). That does not need them to meet, nor anything to go
// wrong: it is seen in a run in which the interrupt came at the most harmless moment.
//
// Not looked at: the stack of the code that accesses it, and what is no memory (registers). Interlocked operations order, and are no race with each
// other. What a device reads and writes by itself is as good as volatile, in the order in which it does so; but who reads that in a plain way, or writes what it
// reads, needs something that orders the two.
//
//   K.RACE-9  A volatile variable that is changed in two steps, x++, races with everybody else who changes it, although each of the steps orders.
//   K.RACE-10  What the kernel writes into a driver's memory is as good as interlocked; it hands something over only where it is an interlocked operation.
//   K.RACE-12  Devices are looked at from when a driver gets memory that they reach: what it changes behind its first doorbell races with what they do then.
#pragma once
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "check/race/ordering.h"
#include "check/race/race.h"
#include "check/race/shadow.h"
#include "machine/sink.h"

namespace kdpc::race {

struct StackRange {
  std::uintptr_t low = 0;
  std::uintptr_t high = 0;
};

// What the detector needs from outside its layer.
struct Surroundings {
  unsigned (*stack)(std::uintptr_t* frames, unsigned room) = nullptr;  // return addresses of the code that is heard of, innermost first
  StackRange (*stack_here)() = nullptr;                                // on which it runs
};

// What `volatile` means. X64 is Microsoft's default there (/volatile:ms): such accesses order, and are no race with each other. Arm64 (/volatile:iso):
// they are like any other.
enum class MemoryModel : std::uint8_t { X64, Arm64 };

struct Options {
  MemoryModel memory_model = MemoryModel::X64;
  bool benign_looking = false;  // report Kind::BenignLooking too
};

class Detector : public EventSink {
 public:
  Detector(unsigned processors, const Surroundings& surroundings, const Options& options);

  void event(const Stamp& stamp, const Event& event) override;
  bool wants_accesses() const override { return true; }
  void accesses(const Stamp& stamp, std::span<const Access> batch) override;
  std::size_t mark() override;
  void rewind(std::size_t mark) override;
  void forget_mark(std::size_t mark) override { marks_.erase(mark); }

  const std::vector<Race>& races() const { return state_.races; }

 private:
  using Index = Activities::Index;

  // What was said of a processor, and whose it is the next thing tells: who begins, or who goes on.
  struct Pending {
    enum class What : std::uint8_t { Nothing, Lock, Order } what = What::Nothing;
    HeldLock lock{};
    std::uintptr_t object = 0;
    Stamp by{};  // whose processor may be another thread's before it tells anything else
  };
  struct Connected {
    std::uint8_t vector;
    std::uintptr_t routine;
  };
  struct Armed {
    std::uintptr_t end;
    std::uint32_t period;
    Side by;
  };
  struct FreedBlock {
    std::uintptr_t end;
    Cell cell;
  };
  // Everything but the shadow that a restored run must find as it was.
  struct State {
    explicit State(unsigned processors) : ordering(processors), pending(processors) {}
    Ordering ordering;
    std::vector<Pending> pending;
    std::map<std::uintptr_t, Connected> interrupts;
    std::map<std::uintptr_t, Armed> armed;
    std::map<std::uintptr_t, FreedBlock> freed;
    std::map<std::uintptr_t, Block> blocks;      // of pool, also those that were freed and are nobody's yet
    std::map<std::uintptr_t, bool> pinned_dpcs;  // true: for this once, by where it was queued
    std::map<std::uint32_t, bool> pinned_threads;
    std::set<std::uintptr_t> counters;  // variables that several change, and not all of them at once
    std::vector<std::uint32_t> ending_threads;
    std::vector<std::uint32_t> hosts_threads;
    std::optional<Index> devices;  // what they do by themselves
    std::vector<Race> races;
    std::map<std::tuple<Kind, std::uintptr_t, std::uintptr_t>, std::size_t> numbers;  // of races, by their places
  };
  struct Mark {
    State state;
    Shadow::Copy shadow;
  };
  // The access that is being recorded.
  struct Now {
    Index index;
    std::uintptr_t at;
    std::uint32_t size;
    std::uintptr_t pc;
    std::uint64_t step;
    std::uint8_t manner;
    bool is_last;  // of those that are told together: the stack is its stack
  };

  void on(const Stamp& stamp, const ActivityBegan& fact);
  void on(const Stamp& stamp, const ActivityEnded& fact);
  void on(const Stamp& stamp, const DrainBegan& fact);
  void on(const Stamp& stamp, const DrainEnded& fact);
  void on(const Stamp& stamp, const RoutineEntered& fact);
  void on(const Stamp& stamp, const IrqlChanged& fact);
  void on(const Stamp& stamp, const DpcQueued& fact);
  void on(const Stamp& stamp, const DpcRemoved& fact);
  void on(const Stamp& stamp, const DpcTargeted& fact);
  void on(const Stamp& stamp, const TimerSet& fact);
  void on(const Stamp& stamp, const TimerCancelled& fact);
  void on(const Stamp& stamp, const TimerExpired& fact);
  void on(const Stamp& stamp, const LockAcquired& fact);
  void on(const Stamp& stamp, const LockReleased& fact);
  void on(const Stamp& stamp, const LockInitialized& fact);
  void on(const Stamp& stamp, const ObjectInitialized& fact);
  void on(const Stamp& stamp, const OrderReleased& fact);
  void on(const Stamp& stamp, const OrderAcquired& fact);
  void on(const Stamp& stamp, const InterruptConnected& fact);
  void on(const Stamp& stamp, const RegisterAccessed& fact);
  void on(const Stamp& stamp, const KernelAccess& fact);
  void on(const Stamp& stamp, const DmaAccessed& fact);
  void on(const Stamp& stamp, const IrpSent& fact);
  void on(const Stamp& stamp, const IrpReturned& fact);
  void on(const Stamp& stamp, const IrpCompleted& fact);
  void on(const Stamp& stamp, const IrpCancelled& fact);
  void on(const Stamp& stamp, const ThreadCreated& fact);
  void on(const Stamp& stamp, const ThreadSwitched& fact);
  void on(const Stamp& stamp, const ThreadEnded& fact);
  void on(const Stamp& stamp, const AffinityChanged& fact);
  void on(const Stamp& stamp, const PoolAllocated& fact);
  void on(const Stamp& stamp, const PoolFreed& fact);
  void on(const Stamp& stamp, const ImageUnloading& fact);

  Activities& activities() { return state_.ordering.activities; }
  Activity& activity(Index index) { return state_.ordering.activities[index]; }
  Index acting(const Stamp& stamp);
  Index devices();
  void settle(const Stamp& stamp);
  void set_level(Index index, std::uint8_t irql);
  void begin(const Stamp& stamp, Acting acting, const ActivityBegan& fact);
  void push_call(const Stamp& stamp, Acting acting, std::uintptr_t routine);
  void pop_call(const Stamp& stamp, std::uintptr_t routine);
  bool is_in_service(Index index);
  void catch_up(Index index);
  bool is_pinned_interrupt(std::uintptr_t interrupt) const;

  Shadow::Visitor visitor(Index index);
  void about_to_access(Index index, const Stamp& stamp);
  void name_context(Index index);
  void record(const Now& now, const Shadow::Visitor& visitor);
  bool is_counter(const Now& now, const Shadow::Visitor& visitor);
  void untouched(const Now& now, const Shadow::Visitor& visitor, std::uintptr_t address);
  void met(const Now& now, std::uintptr_t address, const Cell& cell, bool is_certain);
  void met_armed(const Now& now, std::uintptr_t at);
  Block block_of(std::uintptr_t address) const;
  Side side_of(const Now& now);
  Side side_of(const Context& context) const;
  void add(Kind kind, Verdict verdict, Side first, Side second, bool has_stack);
  void arm(const Stamp& stamp, std::uintptr_t object, std::uintptr_t size, std::uint32_t period);
  void disarm(std::uintptr_t object);
  void forget(std::uintptr_t low, std::uintptr_t high);

  Surroundings surroundings_;
  Options options_;
  bool is_alone_;      // one processor: that two have met on it says nothing
  Contexts contexts_;  // names; a run that has gone back may know more of them than it needs
  State state_;
  Shadow shadow_;
  std::map<std::size_t, Mark> marks_;
  std::size_t next_mark_ = 0;
};

}  // namespace kdpc::race
