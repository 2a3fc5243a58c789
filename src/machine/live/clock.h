// The machine's time, and each processor's clock: a timer of the host's that sends the processor's signal.
#pragma once
#include "machine/live/slot.h"

namespace kdpc::live::clock {

// Nanoseconds since the machine began to run. While the gate is closed for the host to look it stands still, whatever the host is at; it never goes back.
std::uint64_t now();
bool passes();
void let_time_pass();  // by the host, before the gate is opened
void stop_time();      // after it has been closed

// The processor's own clock, which stands still with the machine. In this order: one who is frozen in between, and has a moment that is too late, is told that no
// time has passed since.
inline std::uint64_t mark() {
  const std::uint64_t stood = shared().stood;
  return __builtin_ia32_rdtsc() - stood;
}

// By the processor's pthread, once.
void make_timer(Slot& slot);
void delete_timer(Slot& slot);
// By the processor, at High: the clock vector comes at `when`, and not before.
void arm(Slot& slot, std::uint64_t when);
// By the processor, or its signal handler: is it time?
void look(Slot& slot);

}  // namespace kdpc::live::clock
