// The measure of waiting. A common tick is over when every processor has taken one more clock interrupt and, after that, an interrupt at device level.
//
// So it takes at least the clock's interval, and as much longer as the host keeps the pthread of any processor away: what waits for a processor that the host
// does not run, or for a lock of such a one, does not wait for the kernel. Clock interrupts that are made up for all at once, because nobody ran, are one.
//
//   K.SOAK-1  A processor is seen in a common tick only below device level. Whoever reads the tick at High and then does something has done it before the
//             end of the tick that follows.
#pragma once
#include <atomic>
#include <cstdint>

#include "kernel/processor.h"
#include "machine/live/signals.h"

namespace kdpc::soak {

class CommonTick {
 public:
  explicit CommonTick(unsigned processors) : processors_(processors) {}

  std::uint32_t now() const { return now_.load(std::memory_order_acquire); }
  // In the service routine of a message, on its processor.
  void see_here(const Processor& self) {
    Seen& seen = seen_[self.number];
    if (self.last_clock == seen.clock) return;
    const std::uint32_t tick = now();
    if (seen.tick.load(std::memory_order_relaxed) == tick) return;
    seen.clock = self.last_clock;
    seen.tick.store(tick, std::memory_order_release);
  }
  // By one thread of the host's: which processor has not been seen yet, from `first` on; all have: the next tick begins, and the answer is their number.
  unsigned advance(unsigned first) {
    for (unsigned number = first; number < processors_; ++number)
      if (seen_[number].tick.load(std::memory_order_acquire) != now()) return number;
    return processors_;
  }
  void begin_next() { now_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  struct alignas(64) Seen {
    std::uint64_t clock = 0;             // the last clock interrupt that has counted
    std::atomic<std::uint32_t> tick{0};  // in which
  };
  const unsigned processors_;
  alignas(64) std::atomic<std::uint32_t> now_{1};
  Seen seen_[kMaxProcessors];
};

// The bounds, in common ticks, and why.
namespace bounds {

// At the shortest interval, 1 ms, 16 clock interrupts in a row have a full tick among them, as those are 15.625 ms apart.
inline constexpr std::uint32_t kInterruptsPerFullTick = 16;
// The insertion falls into one tick or the next (K.SOAK-1); of the one after that the target may have had its part before it; and in the next the message
// is served before the DPCs that were asked for with it.
inline constexpr std::uint32_t kEdges = 3;
// The host may take a pthread away at any moment, and brings it back with its signals first: a tick more for each that the drain needs. That is the target's own,
// between the message and the drain, and those of who holds the three locks on the way: the dispatcher's, an interrupt's, a driver's.
inline constexpr std::uint32_t kHost = 4;
// Less than a full tick has clock interrupts: a drain that is asked for and does not come is noticed, although the next full tick would make up for it.
inline constexpr std::uint32_t kAtOnce = kEdges + kHost;
// ADP-1: what asks for no drain (5.2: Low; Medium to another processor) is drained at the target's next full tick.
inline constexpr std::uint32_t kDeferred = kInterruptsPerFullTick + kAtOnce;
// A thread that has the highest priority of all on its processor preempts at once (WAIT-7), as does the one that runs threaded DPCs (THR-2); one switch more
// than a DPC.
inline constexpr std::uint32_t kAlarm = kAtOnce + 1;
static_assert(kAlarm < kInterruptsPerFullTick);
// Among `equals` that may come to the same processor each waits until all others have used up a quantum, two full ticks (6.4), and then for its switch.
inline constexpr std::uint32_t worker(std::uint32_t equals) { return (equals - 1) * 2 * kInterruptsPerFullTick + kAlarm; }

// Where interrupts are polled for, they wait until a processor looks.
inline bool holds(std::uint32_t ticks, std::uint32_t bound) { return live::signals::kPolled || ticks <= bound; }

}  // namespace bounds
}  // namespace kdpc::soak
