#include "kernel/entry.h"

#include <atomic>

#include "kernel/bugcheck.h"
#include "kernel/clock.h"
#include "kernel/interrupt.h"
#include "kernel/ipi.h"
#include "kernel/job.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::entry {

namespace {

// The part of an interrupt that runs on the ISR stack, from the vector's level to the end of interrupt.
void handle(void* argument) {
  const std::uint8_t vector = *static_cast<const std::uint8_t*>(argument);
  Processor& self = Machine::here();
  switch (vector) {
    case kClockVector:
      Machine::observe(ActivityBegan{ActivityKind::ClockInterrupt, static_cast<std::uint8_t>(Irql::Clock), Address(), Address()});
      clock::tick_here(self);
      Machine::observe(ActivityEnded{ActivityKind::ClockInterrupt, true, Address(), Address()});
      Machine::end_of_interrupt(vector);
      return;
    case kIpiVector:
      Machine::observe(ActivityBegan{ActivityKind::IpiInterrupt, static_cast<std::uint8_t>(Irql::Ipi), Address(), Address()});
      ipi::receive_here();
      Machine::observe(ActivityEnded{ActivityKind::IpiInterrupt, true, Address(), Address()});
      Machine::end_of_interrupt(vector);
      return;
    case kJobVector:
      job::interrupt_here();
      Machine::end_of_interrupt(vector);
      return;
    default: interrupt::service_here(self, vector);
  }
}

}  // namespace

void interrupt(std::uint8_t vector) {
  const Irql before = Machine::irql();
  Machine::set_irql(irql_of(vector));
  interrupt_from(before, vector);
}

void interrupt_from(Irql before, std::uint8_t vector) {
  Processor& self = Machine::here();  // this high, nobody is migrated: good until the lowering below
  const Irql outer = self.interrupted_irql;
  self.interrupted_irql = before;
  ++self.interrupt_nesting;  // first: an interrupt in the middle of the charging leaves it alone
  clock::stop_charging_here(self);
  ++self.interrupt_count;
  Machine::call_on(StackKind::Isr, handle, &vector);
  --self.interrupt_nesting;
  if (self.interrupt_nesting == 0 && !self.dpc_routine_active) clock::begin_charging_here(self);
  self.interrupted_irql = outer;
  // What else is due is taken by the window this one was taken in; nesting here would fill the stack when a line never rests.
  if (before >= Irql::Dispatch || self.ending_interrupts) {
    Machine::set_irql(before);
    return;
  }
  // All hardware first, then the software interrupts, which may switch threads: until then this is the same processor.
  self.ending_interrupts = true;
  Machine::set_irql(before);
  Machine::window();
  Machine::set_irql(Irql::High);
  Machine::here().ending_interrupts = false;
  lower_here(before);
}

bool has_work_while_idle() {
  const Processor& self = Machine::here();
  if (!dpc::has_work(self)) return false;
  self.dpcs.expect_to_take_in();
  return true;
}

bool may_halt() {
  // The flag first, then a last look: an inserter either sees the flag and sends an IPI, or we see its work (RET-3b).
  Processor& self = Machine::here();
  self.halted = true;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return !dpc::has_work(self) && self.next_thread == nullptr;
}

void thread_begins(Thread& self) {
  if (self.is_idle) {
    lower_here(Irql::Dispatch);
    scheduler::idle_loop();
  }
  thread::finish_switch_locked();
  Machine::observe(OrderAcquired{&self});
  scheduler::release_dispatcher_lock(Irql::Passive);
  self.routine(self.context);
  if (const Irql now = Machine::irql(); now != Irql::Passive)
    bug_check(stop::IrqlUnexpectedValue,
              {as_parameter(now) << 16 | as_parameter(Irql::Passive) << 8 | 2, Address(self.routine).value, as_parameter(self.context), 0},
              "The routine of a system thread returned above PASSIVE_LEVEL.", "IRQL-7");
  thread::end_current();
}

}  // namespace kdpc::entry
