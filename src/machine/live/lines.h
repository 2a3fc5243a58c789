// The interrupt controller of one processor: lines and messages become pending vectors, as with an APIC.
//
//   asserted --deliver--> pending --take()--> in service --end()--> (level line still asserted: pending)
#pragma once
#include <cstdint>

#include "machine/live/state.h"

namespace kdpc::live::lines {

void forget();  // everything: a new machine

void pend(std::uint8_t vector);
// The highest pending vector above the processor's level; only when there is one. It is in service from here on.
std::uint8_t take();
bool end(std::uint8_t vector);          // true: its level line is still asserted, and the vector is pending again
bool is_asserted(std::uint8_t vector);  // some line with this vector
void route(std::uint8_t vector, bool enabled);

unsigned add(bool level);
void assign(unsigned line, std::uint8_t vector, bool level);
void set(unsigned line, bool asserted);
unsigned add_messages(unsigned count);  // the machine's number of the first
void assign_message(unsigned message, std::uint8_t vector);
void send_message(unsigned message);  // lost while it has no vector
void raise_message(std::uint8_t vector);

}  // namespace kdpc::live::lines
