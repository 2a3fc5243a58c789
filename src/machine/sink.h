// Whom a machine hands its events to. The kernel never sees a sink; a sink never calls back.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernel/events.h"
#include "machine/access.h"

namespace kdpc {

// When and where a fact was stated.
struct Stamp {
  std::uint64_t time;  // nanoseconds since start, of that processor
  std::uint16_t processor;
  std::uint8_t irql;
  std::uint32_t thread;    // the thread that runs or is interrupted there
  std::uint64_t step = 0;  // simulated machine: how many steps the processor has taken (sim/choice.h); without an oracle, accesses only
};

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void event(const Stamp& stamp, const Event& event) = 0;

  // What the code of check variants has read and written since the last of these or the last fact, oldest first: all by one processor at one level. `time` is
  // that of the telling, `step` the last one's.
  virtual bool wants_accesses() const { return false; }  // always the same
  virtual void accesses(const Stamp& stamp, std::span<const Access> batch) { (void)stamp, (void)batch; }

  // Sinks live outside the World. mark() names the present state, rewind(m) returns to it when the World is restored.
  virtual std::size_t mark() { return 0; }
  virtual void rewind(std::size_t) {}
  virtual void forget_mark(std::size_t) {}  // nobody will return to this mark
};

}  // namespace kdpc
