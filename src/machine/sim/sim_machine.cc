#include "machine/sim/sim_machine.h"

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/entry.h"
#include "kernel/system.h"
#include "machine/frames.h"
#include "machine/sim/controller.h"
#include "machine/sim/fiber.h"
#include "machine/sim/run.h"
#include "machine/sim/world.h"
#include "machine/stack_switch.h"

namespace kdpc::sim {

namespace {

// Every interrupt above the current level that is pending. May return on another processor.
bool take_interrupts() {
  bool any = false;
  while (has_deliverable(current())) {
    entry::interrupt(controller::take(current()));
    any = true;
  }
  return any;
}

// With an oracle. True: it is to be asked at this step.
bool count_window(Slot& slot) {
  accesses::tell();
  accesses::count(slot);
  ++slot.windows;
  accesses::give(slot);
  return steps_of(slot) >= slot.question;
}

// Whenever a processor may be asked about, it stands before another step: so its number is enough to find the place again.
void take_step() {
  if (fixed().exploring) count_window(current());
}

void wait_as(Doing doing) {
  take_step();
  current().doing = doing;
  fiber::leave(Departure::Yield);
}

// Leaves for the host where time is up, or the oracle wants to be asked, and takes what interrupts. What is no window has no time limit: it is only a question.
void take_turn(bool asked, bool is_window = true) {
  bool may_go_on = false;  // the host has just said so, whatever the limit
  for (;;) {
    Slot& slot = current();
    settle(slot);
    const bool is_late = is_window && slot.time > slot.limit;
    if ((is_late || asked) && !may_go_on) {
      fixed().only_asked = !is_late;
      fiber::leave(Departure::Yield);
      may_go_on = true;
      asked = false;
    } else if (has_deliverable(slot)) {
      entry::interrupt(controller::take(slot));
      asked = fixed().exploring && count_window(current());
      may_go_on = false;
      is_window = true;
    } else {
      return;
    }
  }
}

}  // namespace

void Machine::window_slow() {
  if (!fixed().inside) return;  // at boot
  take_turn(fixed().exploring && count_window(current()));
}

void Machine::edge() {
  if (!fixed().inside) {
    // A driver's static constructors run on the host while it is loaded.
    fixed().edge_budget = std::int64_t{1} << 62;
    return;
  }
  Slot& slot = current();
  settle(slot);
  const bool is_step = fixed().edge_stride != 0 || (fixed().exploring && slot.time > slot.limit);
  take_turn(is_step && count_window(slot));
  give_edges(current());
}

// It has not happened yet: what interrupts here, and what others do meanwhile, comes before it, and is told before it.
void Machine::access(std::uintptr_t at, std::uint64_t how) {
  if (!fixed().inside) {
    fixed().access_budget = 0;  // a static constructor, as in edge()
    return;
  }
  if (fixed().access_budget >= 0) return;  // no hook has come here, but a call of the export
  Slot& slot = current();
  settle(slot);
  ++fixed().access_budget;  // it has left no record yet
  accesses::count(slot);
  const bool is_asked = fixed().exploring && steps_of(slot) + 1 >= slot.question_at_access;
  const bool is_window = (slot.accesses + 1) % accesses::kRoom == 0;
  const bool is_disturbed = is_asked || has_deliverable(slot) || (is_window && slot.time > slot.limit);
  if (!is_disturbed) {
    accesses::add({at, how});
    ++slot.accesses;
  }
  accesses::tell();
  if (is_disturbed) ++slot.accesses;
  accesses::give(slot);
  if (fixed().ends_with_fact) [[unlikely]]
    fiber::abandon();
  if (!is_disturbed) return;
  take_turn(is_asked, is_window);
  if (fixed().accesses_wanted) accesses::add({at, how});
}

void Machine::released_slow(Slot& slot, const void* lock) {
  for (std::uint32_t index = slot.held_count < kMaxHeldLocks ? slot.held_count : kMaxHeldLocks; index-- > 0;) {
    if (slot.held[index].lock != lock) continue;
    for (std::uint32_t later = index + 1; later < slot.held_count && later < kMaxHeldLocks; ++later) slot.held[later - 1] = slot.held[later];
    break;
  }
  if (slot.held_count != 0) --slot.held_count;
  // Whoever spins for it goes on at this time: leave at the next window.
  if (state().spinners != 0) slot.limit = 0;
}

void Machine::spin_pause(SpinWord word, std::uint64_t until) {
  settle(current());
  if (take_interrupts()) return;
  take_step();
  run::begin_spinning(current(), word, until);
  fiber::leave(Departure::Yield);
  window();
}

void Machine::arm_clock(std::uint64_t when) {
  current().clock = when;
  bound_current(when);
}

void Machine::send_ipi(ProcessorSet targets) {
  Slot& sender = current();
  settle(sender);
  const std::uint64_t arrival = sender.time + state().costs.ipi;
  for (const unsigned number : targets) {
    Slot& target = state().slots[number];
    if (arrival < target.ipi) target.ipi = arrival;  // one that is still under way serves both
  }
  bound_current(arrival);
}

void Machine::refresh_limit() {
  if (fixed().inside) run::set_limit(current());
}

void Machine::route(Routing routing) { controller::route(routing, controller::time_here()); }

bool Machine::end_of_interrupt(std::uint8_t vector) { return controller::end(current(), vector); }

bool Machine::is_asserted(std::uint8_t vector) { return controller::is_asserted(vector); }

bool Machine::make_stack(Thread& thread) { return world::take_stack(thread); }
void Machine::free_stack(Thread& thread) { world::give_stack(thread); }

void Machine::switch_to(Thread& from, Thread& to) {
  Slot& slot = current();
  KDPC_INVARIANT("K.SIM-6", slot.stack == StackKind::Thread && slot.thread == &from);
  settle(slot);
  Stopped stopped{slot.time, reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0))};
  from.machine.extra = &stopped;
  fixed().leaving = &from;
  fixed().entering = &to;
  take_step();
  fiber::leave(Departure::Switch);
  // Perhaps on another processor, whose own time may lie before the moment at which this thread stopped.
  Slot& now = current();
  if (now.time < stopped.time) pass(now, stopped.time - now.time);
  from.machine.extra = nullptr;
}

void Machine::call_on(StackKind stack, void (*function)(void*), void* argument) {
  Slot& slot = current();
  if (slot.stack == stack || slot.stack == StackKind::Isr) {
    function(argument);
    return;
  }
  const StackKind outer = slot.stack;
  const std::uintptr_t low = slot.stack_low;
  const std::uintptr_t high = slot.stack_high;
  const world::Bounds bounds = stack == StackKind::Isr ? world::isr_stack(slot.number) : world::dpc_stack(slot.number);
  slot.stack = stack;
  slot.stack_low = bounds.low;
  slot.stack_high = bounds.high;
  call_on_stack(bounds.low, bounds.high, function, argument, &slot.saved_pointers[static_cast<unsigned>(outer)]);
  // Nobody switches threads on these stacks, so this is the same processor.
  slot.saved_pointers[static_cast<unsigned>(outer)] = 0;
  slot.stack = outer;
  slot.stack_low = low;
  slot.stack_high = high;
}

StackLimits Machine::stack_limits() {
  const Slot& slot = current();
  return {slot.stack_low, slot.stack_high, slot.stack};
}

void Machine::idle() {
  if (!entry::may_halt()) return;
  settle(current());
  set_irql(Irql::Dispatch);
  while (!take_interrupts()) wait_as(Doing::Halted);
  set_irql(Irql::High);
}

void Machine::stall(std::uint64_t nanoseconds) {
  const std::uint64_t target = now() + nanoseconds;
  observe(Stalled{nanoseconds});
  for (;;) {
    window();
    Slot& slot = current();
    if (slot.time >= target) return;
    slot.wake = target;  // even if nothing can happen before: a stall is a step, in which the host's condition is asked
    wait_as(Doing::Stalled);
  }
}

void Machine::stop(const BugcheckReport& report) {
  KDPC_INVARIANT("K.SIM-7", fixed().inside);
  BugcheckReport complete = report;
  frames::fill(complete.frames);
  run::finish({host::Ended::Bugcheck, {}, complete});
  fiber::abandon();
}

void Machine::tell(const Event& event) {
  Slot& slot = current();
  settle(slot);
  tell_at(slot, slot.time, event);
  if (fixed().ends_with_fact && fixed().inside) [[unlikely]]
    fiber::abandon();
}

}  // namespace kdpc::sim
