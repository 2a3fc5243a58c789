// The clock interrupt of each processor: moves time (processor 0 only), looks at the timer table, charges the interrupted activity, adapts the
// DPC thresholds, counts the watchdogs and takes the quantum (SEMANTICS 6.5, 6.6, TIME-1).
//
// A full tick comes every 15.625 ms, always. While somebody wants a better resolution, shortened interrupts come between: they move interrupt
// time and look at the timers, and nothing else.
//
//   full         |                               |            kClockIncrement apart
//   shortened    |  '  '  '  '  '  '  '  '  '  ' |            clock_interval apart, counted from the last full tick
#pragma once
#include <cstdint>

#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::clock {

// At Dispatch or above, once, before the processor runs its first thread.
void start_here(Processor& self);
// At Clock.
void tick_here(Processor& self);
// At Dispatch or above: the interval has become shorter, so the next interrupt may have to come sooner.
void rearm_here(Processor& self);

// quantum = cycles: the running thread is charged for the time in which neither an interrupt nor a DPC has the processor. At Dispatch or above,
// where the thread gets and loses it; stopping what has not begun is nothing.
inline void begin_charging_here(Processor& self) {
  if (sys().options.quantum == Options::Quantum::Cycles) [[unlikely]]
    self.running_since = Machine::now();
}
void charge_here(Processor& self);
inline void stop_charging_here(Processor& self) {
  if (self.running_since != 0) [[unlikely]]
    charge_here(self);
}

// idle_ticks = timekeeper_only: around Machine::idle(), at High. A processor with nothing to do but wait for a timer has its clock wake it for
// that tick only.
void idle_begins_here(Processor& self);
void idle_ends_here(Processor& self);

// At most Apc. ExSetTimerResolution: asks for an interval of at most `desired`, or takes such a request back; returns the interval in force.
std::uint32_t set_resolution(std::uint32_t desired, bool set);
// With the dispatcher lock: a high-resolution timer has entered its table, or the last one has left.
void choose_interval_locked();

}  // namespace kdpc::clock
