// Faults of the code that runs in the machine end the run with a bug check, not the process. SEGV, BUS, ILL and FPE are handled on a stack of the pthread's own, as
// the one in use may be what has overflowed; the processor goes home from there and does not come back. A fault of the host's takes its usual course.
#pragma once
#include <signal.h>

#include "machine/live/slot.h"

namespace kdpc::live::traps {

// By the host.
void install();
void uninstall();

// By the processor's pthread, at home.
void give_stack(Slot& slot);
void take_stack(Slot& slot);
// As the host knows it. No pthread ever has another's, which goes with its end.
stack_t stack_of(const Slot& slot);

}  // namespace kdpc::live::traps
