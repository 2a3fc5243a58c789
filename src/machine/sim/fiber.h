// Switching stacks: between the host and the processors' threads, and within a processor to its DPC and ISR stacks.
//
// A thread is a fiber. Every suspension goes to the host context; a processor is wherever its slot's `context` says. Nothing is ever unwound:
// an abandoned fiber is forgotten.
//
//   host --enter(slot)--> fiber … --leave()--> host
//                         thread stack --call_on_stack()--> DPC stack --call_on_stack()--> ISR stack
#pragma once
#include <cstddef>
#include <cstdint>

#include "machine/sim/state.h"

namespace kdpc::sim::fiber {

// A context that will enter entry::thread_begins() of the thread then current, on this stack.
void* make(std::uintptr_t stack_low, std::uintptr_t stack_high);

// On the host context: lets the slot's processor go on until it leaves. Thread switches happen inside.
Departure enter(Slot& slot);

// On a fiber: suspends it and goes to the host. Returns when somebody enters it again, perhaps on another processor.
void leave(Departure why);
// … for good.
[[noreturn]] void abandon();

// Return addresses from a frame pointer on, innermost first, as long as the frames lie on this machine's stacks.
unsigned walk(std::uintptr_t frame, std::uintptr_t* frames, unsigned room);

}  // namespace kdpc::sim::fiber
