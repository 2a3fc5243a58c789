// How the machine enters the kernel.
#pragma once
#include <cstdint>

#include "kernel/irql.h"

namespace kdpc {
struct Thread;
}

namespace kdpc::entry {

inline constexpr std::uint8_t kClockVector = 0xD1;
inline constexpr std::uint8_t kIpiVector = 0xE1;

// An interrupt is taken: called by the machine inside window(), spin_pause(), idle() or stall(), or from a signal, on whatever stack is in
// use, when irql_of(vector) is above the current level. Returns at the level it found.
void interrupt(std::uint8_t vector);
// The same by a machine that has to raise the level by itself first, to irql_of(vector), from `before`: it returns at `before`.
void interrupt_from(Irql before, std::uint8_t vector);

// Inside idle(). A machine that looks for a while, before it makes the processor sleep, looks for this too: a DPC that was sent without an IPI.
bool has_work_while_idle();
// And before it sleeps, or at once: false: there is such work, idle() is to return. True: from now on an IPI comes with whatever the processor must see.
bool may_halt();

// The first thing that runs on a new thread's stack: at Synch with the dispatcher lock held by this processor; an idle thread at boot: at High
// without it. Never returns.
[[noreturn]] void thread_begins(Thread& self);

}  // namespace kdpc::entry
