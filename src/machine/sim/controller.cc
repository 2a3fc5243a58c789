#include "machine/sim/controller.h"

#include <algorithm>

#include "base/invariant.h"
#include "kernel/entry.h"
#include "machine/sim/run.h"

namespace kdpc::sim::controller {

namespace {

bool is_in_service(std::uint8_t vector) {
  for (unsigned number = 0; number < state().processors; ++number)
    if (state().slots[number].in_service.has(vector)) return true;
  return false;
}

void request(unsigned processor, std::uint8_t vector, std::uint64_t when) {
  tell_at(state().slots[processor], when, InterruptRequested{vector, static_cast<std::uint16_t>(processor)});
  pend(processor, vector, when);
}

unsigned target_of(ProcessorSet targets) {
  std::uint64_t skip = targets.count() > 1 ? run::pick(targets.count()) : 0;
  for (const unsigned number : targets)
    if (skip-- == 0) return number;
  return targets.lowest();
}

// A line that is asserted, or has just become so.
void deliver(const Line& line, std::uint64_t when) {
  if (line.vector == 0) return;
  const ProcessorSet targets = state().routes[line.vector];
  if (targets.empty()) return;
  if (line.level && is_in_service(line.vector)) return;  // comes back at the end of interrupt
  const unsigned target = target_of(targets);
  if (state().slots[target].pending.has(line.vector)) return;
  request(target, line.vector, when);
}

bool any_level_line_asserted(std::uint8_t vector) {
  for (unsigned line = 0; line < state().lines_used; ++line) {
    const Line& candidate = state().lines[line];
    if (candidate.vector == vector && candidate.level && candidate.asserted) return true;
  }
  return false;
}

void withdraw(Slot& slot, std::uint8_t vector) {
  slot.pending.remove(vector);
  const unsigned level = vector >> 4;
  if (slot.pending.at_level(level) == 0) slot.pending_levels &= ~(1u << level);
}

}  // namespace

std::uint64_t time_here() {
  if (!fixed().inside) return state().time;
  settle(current());
  return current().time;
}

void pend(unsigned processor, std::uint8_t vector, std::uint64_t when) {
  if (vector != entry::kClockVector) state().quiet_since = kForever;
  Slot& slot = state().slots[processor];
  slot.pending.add(vector);
  slot.pending_levels |= 1u << (vector >> 4);
  if (fixed().inside && &slot == fixed().current) {
    // Driver code looks at its next edge.
    if (has_deliverable(slot)) {
      settle(slot);
      slot.edges_given = fixed().edge_budget = 0;
    }
    return;
  }
  if (slot.doing == Doing::Running) {
    // Only an oracle lets an event overtake a processor's time; it cannot be taken before it has happened.
    if (slot.time < when) slot.time = when;
  } else if (has_deliverable(slot)) {
    run::wake(slot, when);
  }
}

std::uint8_t take(Slot& slot) {
  const unsigned level = 31 - static_cast<unsigned>(std::countl_zero(slot.pending_levels));
  const std::uint16_t vectors = slot.pending.at_level(level);
  const auto vector = static_cast<std::uint8_t>(level * 16 + 31 - static_cast<unsigned>(std::countl_zero(std::uint32_t{vectors})));
  withdraw(slot, vector);
  slot.in_service.add(vector);
  return vector;
}

bool end(Slot& slot, std::uint8_t vector) {
  slot.in_service.remove(vector);
  if (!any_level_line_asserted(vector) || state().routes[vector].empty()) return false;
  const unsigned target = target_of(state().routes[vector]);
  if (!state().slots[target].pending.has(vector)) request(target, vector, time_here());
  return true;
}

bool is_asserted(std::uint8_t vector) {
  for (unsigned line = 0; line < state().lines_used; ++line)
    if (state().lines[line].vector == vector && state().lines[line].asserted) return true;
  return false;
}

void route(Routing routing, std::uint64_t when) {
  ProcessorSet& targets = state().routes[routing.vector];
  if (routing.enabled) {
    targets.add(routing.processor);
  } else {
    targets.remove(routing.processor);
    Slot& slot = state().slots[routing.processor];
    if (slot.pending.has(routing.vector)) {
      withdraw(slot, routing.vector);
      if (!targets.empty()) request(target_of(targets), routing.vector, when);
    }
  }
  for (unsigned line = 0; line < state().lines_used; ++line) {
    const Line& candidate = state().lines[line];
    if (candidate.vector == routing.vector && candidate.asserted && (candidate.level || routing.enabled)) deliver(candidate, when);
  }
}

unsigned add_line(unsigned board, unsigned of_board, bool level) {
  State& all = state();
  KDPC_INVARIANT("K.SIM-4", all.lines_used < kMaxLines);
  Line& line = all.lines[all.lines_used];
  line = {static_cast<std::uint16_t>(board), static_cast<std::uint16_t>(of_board), 0, level, false};
  return all.lines_used++;
}

void assign(unsigned number, std::uint8_t vector, bool level, std::uint64_t when) {
  KDPC_INVARIANT("K.SIM-5", number < state().lines_used);
  Line& line = state().lines[number];
  line.vector = vector;
  line.level = level;
  if (line.asserted) deliver(line, when);
}

void set_line(unsigned number, bool asserted, std::uint64_t when, Cause cause) {
  KDPC_INVARIANT("K.SIM-5", number < state().lines_used);
  Line& line = state().lines[number];
  if (line.asserted == asserted) return;
  line.asserted = asserted;
  const ProcessorSet targets = line.vector == 0 ? ProcessorSet() : state().routes[line.vector];
  const bool by_processor = cause == Cause::Caller && fixed().inside;
  tell_at(by_processor ? current() : state().slots[targets.empty() ? 0 : targets.lowest()], when,
          LineChanged{static_cast<std::uint16_t>(number), asserted, line.vector, line.level});
  if (asserted) deliver(line, when);
}

unsigned add_messages(unsigned count) {
  State& all = state();
  KDPC_INVARIANT("K.SIM-11", count <= kMaxMessages - all.messages_used);
  all.messages_used += count;
  return all.messages_used - count;
}

void assign_message(unsigned message, std::uint8_t vector) {
  KDPC_INVARIANT("K.SIM-12", message < state().messages_used);
  state().message_vectors[message] = vector;
}

void send_message(unsigned message, std::uint64_t when) {
  KDPC_INVARIANT("K.SIM-12", message < state().messages_used);
  const std::uint8_t vector = state().message_vectors[message];
  if (vector == 0) return;
  const ProcessorSet targets = state().routes[vector];
  request(targets.empty() ? 0 : target_of(targets), vector, when);
}

}  // namespace kdpc::sim::controller
