// The interrupt controller: lines and messages become vectors that are pending on a processor.
//
// A vector that is no longer let through to a processor does not stay pending there: another one that it is let through to gets it, if any.
//
// A level line is pending again at the end of its interrupt for as long as it is asserted; an edge is remembered once. As with an APIC, a vector
// that has reached a processor stays pending there even if its line drops before it is taken: the routine then finds nothing.
//
//   asserted --deliver--> pending --take()--> in service --end()--> (still asserted: pending)
#pragma once
#include <cstdint>

#include "machine/sim/state.h"

namespace kdpc::sim::controller {

// Pending on that processor from `when` on; wakes it if it waits and the vector is above its level. Host or any context.
void pend(unsigned processor, std::uint8_t vector, std::uint64_t when);
// The highest pending vector above the processor's level leaves `pending` and is in service. Only when there is one.
std::uint8_t take(Slot& slot);
// True: a level line with this vector is still asserted and the vector is pending again.
bool end(Slot& slot, std::uint8_t vector);
// Some line with this vector is asserted now.
bool is_asserted(std::uint8_t vector);

void route(Routing routing, std::uint64_t when);

unsigned add_line(unsigned board, unsigned of_board, bool level);
void assign(unsigned line, std::uint8_t vector, bool level, std::uint64_t when);
// Who has changed a line: the processor that runs, if one does, by an access to a register; or the device, when its time had come. That is stated
// as of the lowest processor that its vector is routed to.
enum class Cause : std::uint8_t { Caller, Device };
void set_line(unsigned line, bool asserted, std::uint64_t when, Cause cause);
// Messages of boards: the machine's number of the first of `count`.
unsigned add_messages(unsigned count);
void assign_message(unsigned message, std::uint8_t vector);
// An edge, to the lowest processor that the vector is routed to (an oracle may choose another), or processor 0, where it is then unexpected. One
// that finds its vector still pending there becomes one interrupt with it (INT-10). A message without a vector is lost.
void send_message(unsigned message, std::uint64_t when);

// The time at which something happens that is done now: the running processor's, or what the machine has reached.
std::uint64_t time_here();

}  // namespace kdpc::sim::controller
