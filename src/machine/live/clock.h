// The machine's time, and each processor's clock: a timer of the host's that sends the processor's signal.
#pragma once
#include "machine/live/slot.h"

namespace kdpc::live::clock {

// Nanoseconds since the machine began to run. Between two runs of the host's it stands still.
std::uint64_t now();
void let_time_pass();  // by the host, before the gate is opened
void stop_time();

// By the processor's pthread, once.
void make_timer(Slot& slot);
void delete_timer(Slot& slot);
// By the processor, at High: the clock vector comes at `when`, and not before.
void arm(Slot& slot, std::uint64_t when);
// By the processor, or its signal handler: is it time?
void look(Slot& slot);

}  // namespace kdpc::live::clock
