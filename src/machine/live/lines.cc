#include "machine/live/lines.h"

#include <bit>
#include <bitset>
#include <vector>

#include "base/invariant.h"
#include "machine/live/live_machine.h"

namespace kdpc::live::lines {

namespace {

struct Line {
  std::uint8_t vector;  // 0: not assigned
  bool level;
  bool asserted;
};

std::vector<Line> all_lines;
std::vector<std::uint8_t> message_vectors;  // 0: not assigned
std::bitset<256> pending, in_service, routed;

void request(std::uint8_t vector) {
  tell(InterruptRequested{vector, 0});
  pend(vector);
}

// A line that is asserted, or has just become so.
void deliver(const Line& line) {
  if (line.vector == 0 || !routed[line.vector] || pending[line.vector]) return;
  if (line.level && in_service[line.vector]) return;  // comes back at the end of interrupt
  request(line.vector);
}

// The highest pending vector of a level, or 0.
unsigned highest_of(unsigned level) {
  for (unsigned vector = level * 16 + 16; vector-- > level * 16;)
    if (pending[vector]) return vector;
  return 0;
}

void withdraw(unsigned vector) {
  pending[vector] = false;
  if (highest_of(vector >> 4) == 0) state().pending_levels &= ~(1u << (vector >> 4));
}

}  // namespace

void forget() {
  all_lines.clear();
  message_vectors.clear();
  pending.reset();
  in_service.reset();
  routed.reset();
}

void pend(std::uint8_t vector) {
  pending[vector] = true;
  state().pending_levels |= 1u << (vector >> 4);
  state().edge_budget = 0;  // driver code looks at its next edge
}

std::uint8_t take() {
  const unsigned vector = highest_of(31 - static_cast<unsigned>(std::countl_zero(state().pending_levels)));
  KDPC_INVARIANT("K.LIVE-3", vector != 0);
  withdraw(vector);
  in_service[vector] = true;
  return static_cast<std::uint8_t>(vector);
}

bool end(std::uint8_t vector) {
  in_service[vector] = false;
  if (!routed[vector]) return false;
  for (const Line& line : all_lines) {
    if (line.vector != vector || !line.level || !line.asserted) continue;
    if (!pending[vector]) request(vector);
    return true;
  }
  return false;
}

bool is_asserted(std::uint8_t vector) {
  for (const Line& line : all_lines)
    if (line.vector == vector && line.asserted) return true;
  return false;
}

void route(std::uint8_t vector, bool enabled) {
  routed[vector] = enabled;
  if (!enabled) {
    withdraw(vector);
    return;
  }
  for (const Line& line : all_lines)
    if (line.vector == vector && line.asserted) deliver(line);
}

unsigned add(bool level) {
  all_lines.push_back({0, level, false});
  return static_cast<unsigned>(all_lines.size() - 1);
}

void assign(unsigned line, std::uint8_t vector, bool level) {
  KDPC_INVARIANT("K.LIVE-4", line < all_lines.size());
  all_lines[line].vector = vector;
  all_lines[line].level = level;
  if (all_lines[line].asserted) deliver(all_lines[line]);
}

void set(unsigned line, bool asserted) {
  KDPC_INVARIANT("K.LIVE-4", line < all_lines.size());
  if (all_lines[line].asserted == asserted) return;
  all_lines[line].asserted = asserted;
  tell(LineChanged{static_cast<std::uint16_t>(line), asserted, all_lines[line].vector, all_lines[line].level});
  if (asserted) deliver(all_lines[line]);
}

unsigned add_messages(unsigned count) {
  message_vectors.resize(message_vectors.size() + count);
  return static_cast<unsigned>(message_vectors.size()) - count;
}

void assign_message(unsigned message, std::uint8_t vector) {
  KDPC_INVARIANT("K.LIVE-7", message < message_vectors.size());
  message_vectors[message] = vector;
}

void send_message(unsigned message) {
  KDPC_INVARIANT("K.LIVE-7", message < message_vectors.size());
  if (message_vectors[message] != 0) request(message_vectors[message]);
}

void raise_message(std::uint8_t vector) { request(vector); }

}  // namespace kdpc::live::lines
