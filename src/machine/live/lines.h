// The interrupt controller that all processors share: lines and messages become pending vectors of one of them.
//
//   asserted --deliver--> pending at a processor --apic::take()--> in service --end()--> (level line still asserted: pending)
//
// Lines may be changed by any context, also by a device's own host thread. One lock guards them and the routes.
#pragma once
#include <cstdint>

#include "machine/live/slot.h"

namespace kdpc::live::lines {

void forget();  // everything: a new machine

bool end(std::uint8_t vector);  // by the processor that has served it; true: its level line is still asserted, and the vector is pending again
bool is_asserted(std::uint8_t vector);  // some line with this vector
void route(std::uint8_t vector, unsigned processor, bool enabled);

unsigned add(bool level);
void assign(unsigned line, std::uint8_t vector, bool level);
void set(unsigned line, bool asserted);
unsigned add_messages(unsigned count);  // the machine's number of the first
void assign_message(unsigned message, std::uint8_t vector);
void send_message(unsigned message);  // lost while it has no vector
void raise_message(std::uint8_t vector, unsigned processor);

}  // namespace kdpc::live::lines
