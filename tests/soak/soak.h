// What all parts of the soak share: what was asked for, who counts what, and how a broken promise is told.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>

#include "base/processor_set.h"
#include "kernel/irql.h"

namespace kdpc::soak {

struct Wish {
  unsigned processors = 2;
  std::uint64_t dpcs = 1'000'000, interrupts = 100'000, migrations = 10'000;
  std::uint64_t seed = 1;
};

struct Random {
  std::uint64_t state;
  std::uint64_t next() {
    state = state * 6364136223846793005 + 1442695040888963407;
    return state ^ state >> 29;
  }
  unsigned below(unsigned bound) { return static_cast<unsigned>((next() >> 32) % bound); }
  bool one_in(unsigned many) { return below(many) == 0; }
};

// clang-format off
enum class Count : std::uint8_t {
  Inserted, Refused, Removed, Ran,                                       // DPCs
  Messages, LevelInterrupts, LatchedInterrupts, NotMine,                 // calls of service routines; the last did not claim
  MessagesSent, WorkOffered, WorkDone, LatchedOffered, LatchedDone,
  Synchronized, Calls, Called, Flushes, Timers, TimersSet, TimersTaken,
  Migrations, Yields, HandOns, Waits, Alarms, Allocations, Last
};
// How long something had to wait, at most, in common ticks (common_tick.h).
enum class Wait : std::uint8_t { AtOnce, Deferred, Threaded, Alarm, Worker, Last };
// clang-format on

// Something that goes on, and that nothing of its own kind interrupts: a thread, the DPCs of a processor, the service routines of one of its levels. What
// it counts is read while the machine stands still.
struct alignas(64) Activity {
  Random random{};
  void count(Count what, std::uint64_t by = 1) { bump(counts[static_cast<unsigned>(what)], by); }
  std::uint64_t counted(Count what) const { return counts[static_cast<unsigned>(what)].load(std::memory_order_relaxed); }
  void waited(Wait what, std::uint32_t ticks) {
    auto& most = longest[static_cast<unsigned>(what)];
    if (ticks > most.load(std::memory_order_relaxed)) most.store(ticks, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, static_cast<unsigned>(Count::Last)> counts{};
  std::array<std::atomic<std::uint32_t>, static_cast<unsigned>(Wait::Last)> longest{};

 private:
  static void bump(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
};

// A promise was broken: kept for the end, and everything stops. From any context.
void broken(const char* promise, std::uint64_t first = 0, std::uint64_t second = 0);
inline void expect(bool holds, const char* promise, std::uint64_t first = 0, std::uint64_t second = 0) {
  if (!holds) [[unlikely]]
    broken(promise, first, second);
}
unsigned tell_broken();  // on stderr; how many

// All of it is to come to an end.
inline std::atomic<bool> stopping{false};
// For a while nothing goes on but computing, and one thread that queues a DPC, or wakes another thread, and waits: what nobody has asked for is not done by chance.
inline std::atomic<bool> calm{false};
inline bool is_calm() { return calm.load(std::memory_order_relaxed); }

// Which processor runs this; a moment ago, if the level is below Dispatch.
unsigned number_here();

// Two neighbours share what is locked, and threads go from the one to the other.
inline unsigned group_of(unsigned processor) { return processor / 2; }
inline ProcessorSet processors_of(unsigned group, unsigned processors) {
  return ProcessorSet{std::uint64_t{3} << 2 * group} & ProcessorSet::first(processors);
}

}  // namespace kdpc::soak
