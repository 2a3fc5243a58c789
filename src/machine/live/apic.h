// A processor's local interrupt controller: which vectors are pending, and how a processor comes to look.
//
//   K.LIVE-3  The vector's bit is set before its level's, and the level's before anybody is told; the bit of a level is cleared before the vectors of the
//             level are looked at once more. So a pending vector never lacks its level's bit for good.
//   K.LIVE-4  Whoever makes a vector pending for a running processor sends it a signal, unless one is on its way whose handler has not yet begun to look:
//             the handler takes the mark `signalled` back before it looks.
#pragma once
#include <cstdint>

#include "machine/live/slot.h"

namespace kdpc::live::apic {

// Level of the request to freeze: what the kernel does at Synch and above is not left half done for the host to see.
inline constexpr Irql kGateLevel = Irql::Synch;

// Makes the vector pending and has the processor look. From any context; by a processor at High: its own window follows.
void pend(Slot& slot, std::uint8_t vector);
// The same, nobody is told.
void mark(Slot& slot, std::uint8_t vector);
bool is_pending(const Slot& slot, std::uint8_t vector);
// False: it was not pending (any more).
bool withdraw(Slot& slot, std::uint8_t vector);
// By the processor, at High: the highest pending vector above `level`, which is in service from here on; 0: there is none.
std::uint8_t take(Slot& slot, Irql level);
// Has the processor look.
void alert(Slot& slot);

bool is_in_service(const Slot& slot, std::uint8_t vector);
void end_service(Slot& slot, std::uint8_t vector);

// The level's bit follows from its vectors, and from the gate.
void settle(Slot& slot, Irql level);

}  // namespace kdpc::live::apic
