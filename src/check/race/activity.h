// One thing that code does from a beginning to an end: a thread, an ISR, a DPC, a work item. And the lanes on which they follow one another.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "check/race/clock.h"
#include "check/race/race.h"
#include "machine/access.h"

namespace kdpc::race {

inline constexpr std::uint8_t kDispatch = 2;
inline constexpr std::uint8_t kLevels = 16;
inline constexpr std::uint32_t kUnknown = ~std::uint32_t{0};

// Where accesses come from, in so far as it decides who else may come between: everything but when. Each is kept once, and named by a number.
struct Context {
  LaneId lane = 0;
  Acting acting = Acting::Thread;
  std::uint8_t irql = 0;
  std::uint8_t entry = 0;
  bool pinned = false;
  std::uint16_t processor = 0;
  std::uint32_t thread = 0;
  std::uint32_t locks = 0;  // number of the set of locks
  std::uintptr_t routine = 0;
  auto operator<=>(const Context&) const = default;
};

class Contexts {
 public:
  std::uint32_t number_of(const Context& context);
  const Context& at(std::uint32_t number) const { return contexts_[number]; }
  std::uint32_t number_of_locks(std::vector<HeldLock> locks);
  const std::vector<HeldLock>& locks_of(const Context& context) const { return lock_sets_[context.locks]; }
  // Is there a lock, or a processor's IRQL, because of which code of the one never runs while the other is at work?
  //   K.RACE-6  That both were on one processor counts only if neither can be on another.
  bool exclude(const Context& one, const Context& other) const;

 private:
  std::vector<Context> contexts_;
  std::map<Context, std::uint32_t> numbers_;
  std::vector<std::vector<HeldLock>> lock_sets_{{}};
  std::map<std::vector<HeldLock>, std::uint32_t> lock_numbers_{{{}, 0}};
};

// The levels that code holds, as bits: nothing that begins at one of them comes between on the same processor.
//
//   K.RACE-5  They go from where it begins itself up to where it is, for whatever is at a lower level may lie under it just as well. A thread begins
//             nowhere, and holds what it has raised to.
constexpr std::uint16_t levels_held(std::uint8_t entry, std::uint8_t irql) {
  const unsigned lowest = entry < kDispatch ? kDispatch : entry;
  return irql < lowest ? std::uint16_t{0} : static_cast<std::uint16_t>((2u << irql) - (1u << lowest));
}

struct Activity {
  // What it has called and works for it: a dispatch routine, a synchronised one.
  struct Call {
    Acting acting;
    std::uintptr_t routine;
    std::uintptr_t caller;  // as below, when it returns
  };

  Acting acting = Acting::Thread;
  std::uint8_t entry = 0;
  std::uint8_t irql = 0;  // of the driver's code in it
  bool pinned = false;
  std::uint16_t processor = 0;
  std::uint32_t thread = 0;
  std::uintptr_t routine = 0;
  std::vector<Call> calls;
  std::uintptr_t caller = 0;  // where it has called the kernel last
  Access last{};              // its last access, unless it has called or was called since

  LaneId lane = 0;
  Epoch first = 0;           // its epochs on the lane begin here
  std::uint64_t serial = 0;  // different for each; 0: it is over
  std::uint16_t levels = 0;  // that it holds, of `processor`
  std::vector<HeldLock> locks;
  Order order;
  Edge ordered_by;  // the last
  std::uint32_t context = kUnknown;

  std::vector<std::uintptr_t> disconnects;  // interrupt objects: what it called returns when their ISRs have ended
};

// Everything that acts, by number; numbers are used again.
//
//   K.RACE-4  innermost(stamp) has begun and not ended, and runs.
class Activities {
 public:
  explicit Activities(unsigned processors) : on_top_(processors) {}

  using Index = std::uint32_t;

  Activity& operator[](Index index) { return all_[index]; }
  const Activity& operator[](Index index) const { return all_[index]; }
  // Under whatever has interrupted it is the thread, with what it does by itself.
  std::optional<Index> innermost(std::uint16_t processor, std::uint32_t thread) const {
    if (!on_top_[processor].empty()) return on_top_[processor].back();
    if (thread >= of_threads_.size() || of_threads_[thread].empty()) return std::nullopt;
    return of_threads_[thread].back();
  }
  std::optional<Index> outermost(std::uint32_t thread) const {
    if (thread >= of_threads_.size() || of_threads_[thread].empty()) return std::nullopt;
    return of_threads_[thread].front();
  }
  Index begin_on_processor(std::uint16_t processor);
  Index begin_on_thread(std::uint32_t thread);
  Index begin_apart() { return add(); }  // on no processor, and it never ends
  void end_on_processor(std::uint16_t processor);
  void end_on_thread(std::uint32_t thread);
  bool is_on_top(std::uint16_t processor) const { return !on_top_[processor].empty(); }
  std::optional<Index> under(Index index, std::uint16_t processor, std::uint32_t thread) const;  // the next one outwards on the same stack

 private:
  Index add();
  void remove(Index index);

  std::vector<Activity> all_;
  std::vector<Index> free_;
  std::vector<std::vector<Index>> on_top_;      // of each processor, innermost last
  std::vector<std::vector<Index>> of_threads_;  // of each thread
  std::uint64_t serial_ = 0;
};

// A lane is a place where activities follow one another: a thread, or a processor at a level. Different routines have different lanes, so that what
// orders one of them does not look as if it ordered the others.
class Lanes {
 public:
  struct Key {
    bool of_thread;
    std::uint32_t number;  // of the thread or processor
    std::uint8_t entry;
    std::uintptr_t routine;
    auto operator<=>(const Key&) const = default;
  };
  struct Lane {
    Epoch now = 0;
    Edge handed_over;          // by what its activities have ordered others last,
    Epoch handed_over_at = 0;  // and the last epoch that came before that
  };

  LaneId of(const Key& key);
  std::size_t count() const { return lanes_.size(); }
  Lane& operator[](LaneId lane) { return lanes_[lane]; }
  const Lane& operator[](LaneId lane) const { return lanes_[lane]; }
  void thread_ended(std::uint32_t thread);

 private:
  std::vector<Lane> lanes_;
  std::map<Key, LaneId> ids_;
  std::vector<LaneId> ended_;  // of threads that are no more, oldest first
};

}  // namespace kdpc::race
