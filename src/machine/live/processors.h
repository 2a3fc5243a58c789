// The processors' pthreads: each pinned to one of the host's processors, with its Slot as GS base. On its own stack ("at home") it only waits; in between it is
// NT threads.
#pragma once
#include "base/result.h"
#include "machine/live/slot.h"

namespace kdpc::live::processors {

// By the host. When it returns, all stand at the closed gate, at the entrance of their idle threads.
Result<void> start();
// With the gate closed: all go home and end.
void stop();

// Processors of the host's that this process may use.
unsigned of_host();

// What the processor's pthread has had of the host's processors, ns.
std::uint64_t time_of(unsigned number);

// By a processor: leaves whatever it is doing, for good, to end.
[[noreturn]] void go_home();
// The same, and waits there to be looked at.
[[noreturn]] void end_here();

}  // namespace kdpc::live::processors
