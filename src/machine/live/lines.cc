#include "machine/live/lines.h"

#include <vector>

#include "base/invariant.h"
#include "kernel/job.h"
#include "machine/live/apic.h"
#include "machine/live/facts.h"
#include "machine/live/lock.h"

namespace kdpc::live::lines {

namespace {

struct Line {
  std::uint8_t vector;  // 0: not assigned
  bool level;
  bool asserted;
};

Lock lock;
std::atomic<bool> comes_back[256];  // a level line has, or has had, this vector
std::vector<Line> all_lines;
std::vector<std::uint8_t> message_vectors;  // 0: not assigned
ProcessorSet routes[256];

void request(std::uint8_t vector, unsigned processor) {
  tell_of(slot_of(processor), InterruptRequested{vector, static_cast<std::uint16_t>(processor)});
  apic::pend(slot_of(processor), vector);
}

bool is_in_service(std::uint8_t vector) {
  for (unsigned number = 0; number < shared().processors; ++number)
    if (apic::is_in_service(slot_of(number), vector)) return true;
  return false;
}

// A line that is asserted, or has just become so.
void deliver(const Line& line) {
  if (line.vector == 0 || routes[line.vector].empty()) return;
  const unsigned target = routes[line.vector].lowest();
  // In this order: what is taken between the two questions is in service already.
  if (apic::is_pending(slot_of(target), line.vector)) return;
  if (line.level && is_in_service(line.vector)) return;  // comes back at the end of interrupt
  request(line.vector, target);
}

bool any_level_line_asserted(std::uint8_t vector) {
  for (const Line& line : all_lines)
    if (line.vector == vector && line.level && line.asserted) return true;
  return false;
}

}  // namespace

void forget() {
  all_lines.clear();
  message_vectors.clear();
  for (ProcessorSet& route : routes) route = {};
  for (std::atomic<bool>& any : comes_back) any = false;
}

bool end(std::uint8_t vector) {
  // No line of this vector comes back: nothing to look for. A line that gets the vector at this moment finds it out of service, or the second look finds the line.
  if (!comes_back[vector]) {
    apic::end_service(here(), vector);
    if (!comes_back[vector]) return false;
  }
  const Locked locked(lock);
  apic::end_service(here(), vector);
  if (!any_level_line_asserted(vector) || routes[vector].empty()) return false;
  const unsigned target = routes[vector].lowest();
  if (!apic::is_pending(slot_of(target), vector)) request(vector, target);
  return true;
}

bool is_asserted(std::uint8_t vector) {
  const Locked locked(lock);
  for (const Line& line : all_lines)
    if (line.vector == vector && line.asserted) return true;
  return false;
}

void route(std::uint8_t vector, unsigned processor, bool enabled) {
  const Locked locked(lock);
  ProcessorSet& targets = routes[vector];
  if (enabled) {
    targets.add(processor);
  } else {
    targets.remove(processor);
    if (apic::withdraw(slot_of(processor), vector) && !targets.empty()) request(vector, targets.lowest());
  }
  for (const Line& line : all_lines)
    if (line.vector == vector && line.asserted && (line.level || enabled)) deliver(line);
}

unsigned add(bool level) {
  const Locked locked(lock);
  all_lines.push_back({0, level, false});
  return static_cast<unsigned>(all_lines.size() - 1);
}

void assign(unsigned line, std::uint8_t vector, bool level) {
  const Locked locked(lock);
  KDPC_INVARIANT("K.LIVE-16", line < all_lines.size());
  all_lines[line].vector = vector;
  all_lines[line].level = level;
  if (level) comes_back[vector] = true;
  if (all_lines[line].asserted) deliver(all_lines[line]);
}

void set(unsigned line, bool asserted) {
  const Locked locked(lock);
  KDPC_INVARIANT("K.LIVE-16", line < all_lines.size());
  Line& its = all_lines[line];
  if (its.asserted == asserted) return;
  its.asserted = asserted;
  const ProcessorSet targets = its.vector == 0 ? ProcessorSet() : routes[its.vector];
  tell_of(slot_of(targets.empty() ? 0 : targets.lowest()), LineChanged{static_cast<std::uint16_t>(line), asserted, its.vector, its.level});
  if (asserted) deliver(its);
}

unsigned add_messages(unsigned count) {
  const Locked locked(lock);
  message_vectors.resize(message_vectors.size() + count);
  return static_cast<unsigned>(message_vectors.size()) - count;
}

void assign_message(unsigned message, std::uint8_t vector) {
  const Locked locked(lock);
  KDPC_INVARIANT("K.LIVE-17", message < message_vectors.size());
  message_vectors[message] = vector;
}

void send_message(unsigned message) {
  const Locked locked(lock);
  KDPC_INVARIANT("K.LIVE-17", message < message_vectors.size());
  const std::uint8_t vector = message_vectors[message];
  if (vector != 0) request(vector, routes[vector].empty() ? 0 : routes[vector].lowest());
}

void raise_message(std::uint8_t vector, unsigned processor) {
  const Locked locked(lock);
  request(vector, processor);
}

}  // namespace kdpc::live::lines
