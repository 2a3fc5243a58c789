#include "kernel/clock.h"

#include <algorithm>

#include "kernel/dpc.h"
#include "kernel/ipi.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "kernel/timer.h"
#include "kernel/watchdog.h"
#include "this_machine.h"

namespace kdpc::clock {

namespace {

constexpr std::int8_t kQuantumUnitsPerTick = 3;  // NT's classic decrement
constexpr auto kQuantumUnit = static_cast<std::int64_t>(kClockIncrementNanoseconds / kQuantumUnitsPerTick);
constexpr std::uint64_t kForEver = std::uint64_t{1} << 32;  // ticks: two years

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
  std::int64_t units = kQuantumUnitsPerTick;
  if (sys().options.quantum == Options::Quantum::Cycles) {
    // To the nearest: the interrupts of its ticks are not the thread's, so that two ticks of running are a little less than two ticks.
    units = (thread.uncharged + kQuantumUnit / 2) / kQuantumUnit;
    thread.uncharged -= units * kQuantumUnit;
  }
  // Used up already, and nobody could switch since: it does not become less, so that it cannot wrap.
  if (thread.quantum > 0) thread.quantum = static_cast<std::int8_t>(std::max<std::int64_t>(thread.quantum - units, -1));
  if (thread.quantum > 0) return;
  self.quantum_end = true;
  Machine::request_here(kDispatchRequest);
}

// The next interrupt after `now` that the interval in force asks for, but no later than the full tick. A full tick that was held off is made up
// for, a shortened interrupt is not.
std::uint64_t next_interrupt(const Processor& self, std::uint64_t now) {
  const std::uint64_t interval = sys().clock_interval * kNanosecondsPer100;
  const std::uint64_t passed = now > self.last_clock ? (now - self.last_clock) / interval : 0;
  return std::min(self.next_tick, self.last_clock + (passed + 1) * interval);
}

bool may_put_off_ticks(const Processor& self) { return sys().options.idle_ticks != Options::IdleTicks::All && self.number != 0; }

void arm(Processor& self) {
  RaiseTo<Irql::High> raised;  // the IPI that asks for a shorter interval must not come between the choice and the deed
  __atomic_store_n(&self.next_clock, next_interrupt(self, Machine::now()), __ATOMIC_RELAXED);  // others watch it
  Machine::arm_clock(self.next_clock);
}

}  // namespace

void start_here(Processor& self) {
  self.last_clock = Machine::now();
  self.next_tick = self.last_clock + kClockIncrementNanoseconds;
  if (self.number == 0) sys().clock_epoch = self.last_clock;
  arm(self);
}

void rearm_here(Processor& self) {
  RaiseTo<Irql::High> raised;
  if (next_interrupt(self, Machine::now()) < self.next_clock) arm(self);
}

void tick_here(Processor& self) {
  const bool full = self.next_clock == self.next_tick;
  if (self.number == 0) {
    sys().interrupt_time = (self.next_clock - sys().clock_epoch) / kNanosecondsPer100;
    if (full) sys().tick_count = sys().tick_count + 1;
  }
  Machine::observe(ClockTicked{sys().interrupt_time, full});
  // Once is enough: what had been due before the time moved still is. NT looks before too, because it looks at one hand of its table at a time.
  timer::check_here(self);
  if (full) {
    charge_interrupted(self);
    watchdog::tick_here(self);
    dpc::adapt_here(self);
    take_quantum(self);
    self.next_tick += kClockIncrementNanoseconds;
  }
  self.last_clock = self.next_clock;
  arm(self);
}

void charge_here(Processor& self) {
  self.current_thread->uncharged += static_cast<std::int64_t>(Machine::now() - self.running_since);
  self.running_since = 0;
}

void idle_begins_here(Processor& self) {
  const System& system = sys();
  if (!may_put_off_ticks(self) || system.clock_interval != kClockIncrement) return;
  if (self.next_clock <= Machine::now()) return;  // it is about to come
  std::uint64_t skipped = kForEver;
  if (const std::uint64_t due = self.timers.earliest(); due / kClockIncrement < kForEver) {
    const std::uint64_t when = system.clock_epoch + due * kNanosecondsPer100;
    skipped = when <= self.next_tick ? 0 : (when - self.next_tick + kClockIncrementNanoseconds - 1) / kClockIncrementNanoseconds;
  }
  self.next_tick += skipped * kClockIncrementNanoseconds;
  __atomic_store_n(&self.next_clock, self.next_tick, __ATOMIC_RELAXED);
  Machine::arm_clock(self.next_clock);
}

void idle_ends_here(Processor& self) {
  if (!may_put_off_ticks(self)) return;
  const std::uint64_t now = Machine::now();
  if (self.next_clock <= now || self.next_tick - now <= kClockIncrementNanoseconds) return;  // it is about to come, or was never put off
  self.next_tick -= (self.next_tick - now - 1) / kClockIncrementNanoseconds * kClockIncrementNanoseconds;
  arm(self);
}

std::uint32_t set_resolution(std::uint32_t desired, bool set) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  System& system = sys();
  if (set) {
    ++system.clock_interval_requests;
    system.clock_interval_asked = std::min(system.clock_interval_asked, std::max(desired, kShortestClockInterval));
  } else if (system.clock_interval_requests != 0 && --system.clock_interval_requests == 0) {
    system.clock_interval_asked = kClockIncrement;
  }
  choose_interval_locked();
  const std::uint32_t interval = system.clock_interval;
  scheduler::release_dispatcher_lock(previous);
  return interval;
}

void choose_interval_locked() {
  const std::uint32_t interval = sys().high_resolution_timers != 0 ? kShortestClockInterval : sys().clock_interval_asked;
  const std::uint32_t before = sys().clock_interval;
  if (interval == before) return;
  sys().clock_interval = interval;
  Machine::observe(ClockIntervalChanged{interval});
  if (interval > before) return;  // each processor notices at its next interrupt
  for (unsigned number = 0; number < sys().processor_count; ++number) ipi::request_clock(processor(number));
}

}  // namespace kdpc::clock
