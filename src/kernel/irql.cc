#include "kernel/irql.h"

#include <algorithm>

#include "kernel/apc.h"
#include "kernel/bugcheck.h"
#include "kernel/irql_inline.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

// Routines are checked when they are entered: who comes from above has let a callback return at a raised level.
[[noreturn]] void fail_raising_from_above(Irql from, Irql to) {
  constexpr std::uint64_t kCallout = 2;
  bug_check(stop::IrqlUnexpectedValue, {as_parameter(from) << 16 | as_parameter(to) << 8 | kCallout, 0, 0, 0},
            "A routine that a driver has lent returned at a raised IRQL, above the one at which its caller works.", "IRQL-7");
}

// A driver asked for the wrong direction. Strict and checked builds stop; a free build does as it is told (IRQL-6).
void refuse_raise(Irql from, Irql to) {
  const char* const sentence = to > Irql::High ? "KeRaiseIrql was asked for a level above HIGH_LEVEL, which there is not."
                                               : "KeRaiseIrql was asked for a level below the current one.";
  switch (sys().options.irql_checks) {
    case Options::IrqlChecks::Strict:
      bug_check(stop::DriverVerifierDetectedViolation, {0x30, as_parameter(from), as_parameter(to), 0}, sentence, "IRQL-5");
    case Options::IrqlChecks::Checked: bug_check(stop::IrqlNotGreaterOrEqual, {as_parameter(from), as_parameter(to), 0, 1}, sentence, "IRQL-5");
    case Options::IrqlChecks::Free: return;
  }
}

enum class WrongLower { Upward, InsideDpc, InsideIsr };

void refuse_lower(Irql from, Irql to, WrongLower wrong) {
  const char* sentence = "KeLowerIrql was asked for a level above the current one.";
  if (wrong == WrongLower::InsideDpc) sentence = "KeLowerIrql below DISPATCH_LEVEL inside a DPC routine.";
  if (wrong == WrongLower::InsideIsr) sentence = "KeLowerIrql below DISPATCH_LEVEL inside an interrupt service routine.";
  switch (sys().options.irql_checks) {
    case Options::IrqlChecks::Strict:
      bug_check(stop::DriverVerifierDetectedViolation, {0x31, as_parameter(from), as_parameter(to), wrong == WrongLower::InsideDpc ? 1u : 0u},
                sentence, "IRQL-7");
    case Options::IrqlChecks::Checked:
      if (wrong == WrongLower::Upward) bug_check(stop::IrqlNotLessOrEqual, {as_parameter(from), as_parameter(to), 0, 1}, sentence, "IRQL-7");
      return;
    case Options::IrqlChecks::Free: return;
  }
}

void change(Irql from, Irql to) {
  if (from == to) return;
  Machine::observe(IrqlChanged{static_cast<std::uint8_t>(from), static_cast<std::uint8_t>(to)});
  if (to > from) {
    Machine::set_irql(to);
  } else {
    lower_inline_here(to);
  }
}

// What is seldom is out of line, and called last: the usual way has no registers to save for it.
[[gnu::noinline]] Irql raise_unusually(Irql from, Irql to) {
  if (to != from) refuse_raise(from, to);
  change(from, std::min(to, Irql::High));
  return from;
}
[[gnu::noinline]] void lower_upward(Irql from, Irql to) {
  if (to != from) refuse_lower(from, to, WrongLower::Upward);
  change(from, std::min(to, Irql::High));
}
[[gnu::noinline]] void lower_inside(const Processor& self, Irql from, Irql to) {
  refuse_lower(from, to, self.interrupt_nesting != 0 ? WrongLower::InsideIsr : WrongLower::InsideDpc);
  change(from, to);
}

}  // namespace

const char* name_of(Irql level) {
  static constexpr const char* kNames[] = {"PASSIVE_LEVEL", "APC_LEVEL",   "DISPATCH_LEVEL", "DIRQL 3",   "DIRQL 4",  "DIRQL 5",
                                           "DIRQL 6",       "DIRQL 7",     "DIRQL 8",        "DIRQL 9",   "DIRQL 10", "DIRQL 11",
                                           "SYNCH_LEVEL",   "CLOCK_LEVEL", "IPI_LEVEL",      "HIGH_LEVEL"};
  return kNames[static_cast<unsigned>(level) & 15];
}

Irql current_irql() { return Machine::irql(); }

Irql raise_for_driver(Irql to) {
  const Irql from = Machine::irql();
  if (to <= from || to > Irql::High) [[unlikely]]
    return raise_unusually(from, to);
  Machine::observe(IrqlChanged{static_cast<std::uint8_t>(from), static_cast<std::uint8_t>(to)});
  Machine::set_irql(to);
  return from;
}

void lower_for_driver(Irql to) {
  const Irql from = Machine::irql();
  if (to >= from) [[unlikely]]
    return lower_upward(from, to);
  if (to < Irql::Dispatch && from >= Irql::Dispatch) {
    const Processor& self = Machine::here();
    self.current_thread->wait_follows = false;  // the wait that was promised cannot follow at once any more (WAIT-1)
    if (self.interrupt_nesting != 0 || self.dpc_routine_active) [[unlikely]]
      return lower_inside(self, from, to);
  }
  Machine::observe(IrqlChanged{static_cast<std::uint8_t>(from), static_cast<std::uint8_t>(to)});
  lower_inline_here(to);
}

Irql raise_here(Irql to) {
  const Irql from = Machine::irql();
  // Where nobody checks, the level drops, as with NT's store to CR8 (IRQL-6).
  if (to < from && sys().options.irql_checks == Options::IrqlChecks::Strict) [[unlikely]]
    fail_raising_from_above(from, to);
  Machine::set_irql(to);
  return from;
}

void lower_here(Irql to) { lower_inline_here(to); }

void serve_requests_here(Irql to) {
  // A glance, as to take requests means to raise the level: what comes meanwhile waits for the window that follows.
  while (to < Irql::Dispatch && (Machine::requests() & (to < Irql::Apc ? kDispatchRequest | kApcRequest : kDispatchRequest)) != 0) {
    const Irql asked = scheduler::take_request(to);
    if (asked == Irql::Dispatch) {
      scheduler::dispatch_interrupt();
    } else if (asked == Irql::Apc) {
      apc::deliver_here();
    }
    Machine::lower(to);
  }
}

}  // namespace kdpc
