#include "machine/live/delivery.h"

#include <ucontext.h>

#include <cerrno>

#include "kernel/entry.h"
#include "machine/live/apic.h"
#include "machine/live/clock.h"
#include "machine/live/gate.h"
#include "machine/live/signals.h"
#include "machine/live/tls.h"
#include "machine/live/traps.h"

namespace kdpc::live::delivery {

namespace {

// By whoever has sent it an IPI, and can neither go on nor park before that has been taken.
bool is_awaited(const Slot& slot, Irql before) { return before < Irql::Ipi && apic::is_pending(slot, entry::kIpiVector); }

}  // namespace

void take_all(Irql before) {
  for (;;) {
    Slot& slot = here();
    if constexpr (signals::kPolled) clock::look(slot);
    if (gate::is_closed() && !is_awaited(slot, before)) gate::pass(slot, before);
    if (const std::uint8_t vector = apic::take(slot, before); vector != 0) {
      ++slot.taken;
      if (vector != entry::kClockVector) ++slot.work;
      const std::uint64_t began = gate::before_interrupt(before);
      set_irql(irql_of(vector));
      entry::interrupt_from(before, vector);
      set_irql(Irql::High);
      gate::after_interrupt(slot, began);
      continue;
    }
    set_irql(before);
    if (!has_deliverable()) return;
    set_irql(Irql::High);
  }
}

void take_all_here() {
  const Irql before = irql();
  set_irql(Irql::High);
  take_all(before);
}

void look() {
  Slot& slot = here();  // nobody is preempted but where this is called
  clock::look(slot);
  const Irql before = irql();
  if (before < apic::kGateLevel || !gate::is_closed()) return;
  set_irql(Irql::High);
  gate::pass(slot, before);
  set_irql(before);
}

void on_signal(int, siginfo_t*, void* context) {
  if (!tls::on_processor()) return;  // somebody else's signal, at a thread of the host's
  Slot& slot = here();               // everything is blocked: this processor's until the mask is opened
  slot.signalled.exchange(false);
  clock::look(slot);
  if (slot.attention != attention::kRunning) {
    // Idle or frozen: it looks by itself when it goes on.
    std::uint32_t blocked = attention::kBlocked;
    if (slot.pending_levels != 0) slot.attention.compare_exchange_strong(blocked, attention::kPolling);
    return;
  }
  const Irql before = irql();
  if (!has_deliverable()) {
    if (!gate::is_closed()) return;
    // Too high for the gate: it comes there by itself, unless it is stuck. Signals are not let in for that: under a storm of them each handler would find the
    // next one here, until the stack is full.
    if (before >= apic::kGateLevel) {
      set_irql(Irql::High);
      gate::pass(slot, before);
      set_irql(before);
      if (!has_deliverable()) return;
    }
  }
  const int error = errno;
  set_irql(Irql::High);
  signals::let_in();
  take_all(before);
  signals::block();  // until the host has taken its frame away: what comes now must not lie on top of it
  errno = error;
  // The thread may have been moved. What the host restores with the context must be this pthread's.
  static_cast<ucontext_t*>(context)->uc_stack = traps::stack_of(here());
}

}  // namespace kdpc::live::delivery
