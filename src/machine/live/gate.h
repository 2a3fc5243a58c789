// The gate: while it is closed the machine stands still, so that the host may look at it, and change it, without any atomics.
//
//   running --park(): arriving--> parked --open(): resuming--> departing --> running          idle --close()--> idle and parked --open()--> idle
//
//   K.LIVE-5  close() returns when every processor is parked. From then until open() no processor executes anything but its wait for the gate, and signal
//             handlers that see `parked` and return. Its level is that of its code.
//   K.LIVE-6  A processor parks below Synch, where the kernel's lists are whole and no lock of the kernel or of the heap is held by it. One that does not
//             get there, though it has had time enough, is stuck, and is parked wherever it is.
//
// One that spins at Synch or above may wait for a parked one: for its answer to an IPI, say. When all who are not parked do, the gate is opened once more, for a
// moment that grows, so that the parked ones can do what they are waited for. Only when that has helped nobody the spinning ones are stuck too.
#pragma once
#include "machine/live/slot.h"

namespace kdpc::live::gate {

// By the host.
void close();
void open();

bool is_closed();
// By a processor at High that was at `before`: waits for the gate, if it may.
void pass(Slot& slot, Irql before);
// Around an interrupt from `before` while the gate is closed: what it takes is not what the interrupted code is at.
std::uint64_t before_interrupt(Irql before);
void after_interrupt(Slot& slot, std::uint64_t began);
// By a processor at High: waits for the gate. `shown` is the level that is told meanwhile.
void park(Slot& slot, Irql shown);
// By a processor that spins at Synch or above while the gate is closed. True: it is stuck, has been parked, and is at High now.
bool wait_for_another(Slot& slot, Irql before);
// The same by any other thread of the process. The host would wait for ever: after a while its program ends with a sentence.
void wait_as_host();
// Who is parked for good, at home: after a bug check.
void parked_for_good();

}  // namespace kdpc::live::gate
