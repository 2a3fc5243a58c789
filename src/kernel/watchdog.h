// How long a processor may stay away from its threads. Two counts of clock ticks, each with a limit (SEMANTICS 9.2), and one clock that others watch:
//
//   one DPC or ISR        Processor::dpc_time_count counts up from its begin                                     0x133 (0, count, limit, 0)
//   everything together   Processor::dpc_watchdog_count counts down; a periodic timer's threaded DPC reloads it  0x133 (1, limit, 0, 0)
//   the clock itself      a processor that takes no clock interrupt is found by the others                       0x101 (limit, 0, PRCB, number)
//
// The reload needs a thread to run, so the count reaches zero exactly when none could for the whole period (WDG-1).
#pragma once
#include <cstdint>

namespace kdpc {
struct Processor;
}

namespace kdpc::watchdog {

void start();                      // at boot
void tick_here(Processor& self);   // at Clock
void isr_begins(Processor& self);  // at the device's level

// What is left, in ticks; a limit of zero: none (SEMANTICS 9.4).
struct Information {
  std::uint32_t time_limit, time_left;      // of the DPC or ISR that runs here
  std::uint32_t period_limit, period_left;  // of everything at Dispatch and above
};
// False: no DPC runs here, and the level is below Dispatch.
[[nodiscard]] bool query(Information& information);
// At Dispatch or above. True: whoever works here in a loop should end it, and let others run (SEMANTICS 9.5).
bool should_yield();

}  // namespace kdpc::watchdog
