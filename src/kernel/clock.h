// The clock interrupt of each processor: moves time (processor 0 only), looks at the timer table, charges the interrupted activity, adapts the
// DPC thresholds, counts the watchdogs and takes the quantum (SEMANTICS 6.5, 6.6, TIME-1).
#pragma once

namespace kdpc {
struct Processor;
}

namespace kdpc::clock {

// At Dispatch or above, once, before the processor runs its first thread.
void start_here(Processor& self);
// At Clock.
void tick_here(Processor& self);

}  // namespace kdpc::clock
