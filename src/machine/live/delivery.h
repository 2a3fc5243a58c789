// Interrupts are taken: where code opens a window, and where a signal finds it.
//
// The level is only looked at when something comes. What comes too high stays pending, and the window after the lowering finds it:
//
//   K.LIVE-9   Every lowering is a store of the level, then a load of the pending levels. What becomes pending after the load comes with a signal whose
//              handler sees the lower level; what became pending before it is seen by the load.
//   K.LIVE-10  From the moment a vector is taken until its interrupt has returned, the level is at least the vector's: so the thread is not moved, and the
//              interrupt runs on the processor it was meant for.
#pragma once
#include <csignal>

#include "machine/live/slot.h"

namespace kdpc::live::delivery {

// At High, from `before`: takes all that is pending above `before`, waits for the gate, and returns at `before`, perhaps on another processor, when
// nothing deliverable is left there.
void take_all(Irql before);
// The same from any level.
void take_all_here();

// The processor looks by itself for what the signal's handler would see before it takes anything (signals.h).
void look();

void on_signal(int, siginfo_t*, void* context);

}  // namespace kdpc::live::delivery
