// The gate: while it is closed the machine stands still, so that the host may look at it, and change it, without any atomics.
//
//   running --park(): moving--> parked --open(): resuming--> moving --> running          idle --close()--> idle and parked --open()--> idle
//
//   K.LIVE-5  close() returns when every processor is parked. From then until open() no processor executes anything but its wait for the gate, and signal
//             handlers that see `parked` and return. Its level is that of its code.
//   K.LIVE-6  A processor parks below Synch, where the kernel's lists are whole and no lock of the kernel or of the heap is held by it. One that does not
//             get there, though it has had time enough, is stuck, and is parked wherever it is.
#pragma once
#include "machine/live/slot.h"

namespace kdpc::live::gate {

// By the host.
void close();
void open();

bool is_closed();
// By a processor at High that was at `before`: waits for the gate, if it may.
void pass(Slot& slot, Irql before);
// By a processor at High: waits for the gate. `shown` is the level that is told meanwhile.
void park(Slot& slot, Irql shown);
// One that spins at Synch or above may park as well, once whoever it waits for has had time to let go.
bool has_long_been_closed();
// Who is parked for good, at home: after a bug check.
void parked_for_good();

}  // namespace kdpc::live::gate
