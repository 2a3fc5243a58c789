#include "kernel/clock.h"

#include "kernel/dpc.h"
#include "kernel/system.h"
#include "kernel/timer.h"
#include "kernel/watchdog.h"
#include "this_machine.h"

namespace kdpc::clock {

namespace {

constexpr std::int8_t kQuantumUnitsPerTick = 3;  // NT's classic decrement

void charge_interrupted(Processor& self) {
  if (self.interrupted_irql > Irql::Dispatch) {
    ++self.interrupt_ticks;
  } else if (self.interrupted_irql == Irql::Dispatch && self.dpc_routine_active) {
    ++self.dpc_ticks;
  } else if (self.current_thread->is_idle) {
    ++self.idle_ticks;
  } else {
    ++self.kernel_ticks;
    ++self.current_thread->ticks;
  }
}

void take_quantum(Processor& self) {
  Thread& thread = *self.current_thread;
  if (thread.is_idle) return;
  // Used up already, and nobody could switch since: it does not become less, so that it cannot wrap.
  if (thread.quantum > 0) thread.quantum = static_cast<std::int8_t>(thread.quantum - kQuantumUnitsPerTick);
  if (thread.quantum > 0) return;
  self.quantum_end = true;
  Machine::request_here(kDispatchRequest);
}

}  // namespace

void start_here(Processor& self) {
  self.next_clock = Machine::now() + kClockIncrementNanoseconds;
  Machine::arm_clock(self.next_clock);
}

void tick_here(Processor& self) {
  timer::check_here(self);
  if (self.number == 0) {
    sys().interrupt_time = sys().interrupt_time + kClockIncrement;
    sys().tick_count = sys().tick_count + 1;
    sys().last_tick = self.next_clock;
  }
  Machine::observe(ClockTicked{sys().interrupt_time});
  timer::check_here(self);
  charge_interrupted(self);
  watchdog::tick_here(self);
  dpc::adapt_here(self);
  take_quantum(self);
  self.next_clock += kClockIncrementNanoseconds;
  Machine::arm_clock(self.next_clock);
}

}  // namespace kdpc::clock
