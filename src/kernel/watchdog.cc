#include "kernel/watchdog.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"

namespace kdpc::watchdog {

void isr_begins(Processor& self) {
  if (self.interrupt_nesting == 1 && self.active_dpc == nullptr) self.dpc_time_count = 0;
}

void tick_here(Processor& self) {
  const Options& options = sys().options;
  const bool in_isr = self.interrupt_nesting > 1;  // below this clock interrupt; a thread that has raised itself is none
  if (in_isr || self.active_dpc != nullptr) {
    ++self.dpc_time_count;
    if (options.dpc_time_limit != 0 && self.dpc_time_count > options.dpc_time_limit)
      bug_check(stop::DpcWatchdogViolation, {0, self.dpc_time_count, options.dpc_time_limit, 0},
                "A single DPC or ISR has run for longer than its time allotment.", "WDG-3");
  }
  // The idle loop is at Dispatch, but would give way to any thread.
  const bool in_idle_loop = self.current_thread->is_idle && self.interrupted_irql == Irql::Dispatch && !self.dpc_routine_active;
  const bool away_from_threads = self.interrupted_irql >= Irql::Dispatch && !in_idle_loop;
  self.dispatch_ticks = away_from_threads ? self.dispatch_ticks + 1 : 0;
  if (options.dpc_watchdog_period != 0 && self.dispatch_ticks >= options.dpc_watchdog_period)
    bug_check(stop::DpcWatchdogViolation, {1, options.dpc_watchdog_period, 0, 0},
              "This processor has been at DISPATCH_LEVEL or above for the whole watchdog period.", "WDG-1");
}

}  // namespace kdpc::watchdog
