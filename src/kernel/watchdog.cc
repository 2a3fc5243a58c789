#include "kernel/watchdog.h"

#include <algorithm>
#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "this_machine.h"

namespace kdpc::watchdog {

namespace {

// The timer comes eight times in a period: every 15 s, as observed on Windows 7, for the period of 120 s.
constexpr std::uint32_t kReloadsPerPeriod = 8;
constexpr std::uint64_t kHundredNanosecondsPerMillisecond = 10000;
constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

void KDPC_NTAPI reload(Dpc*, void* context, void*, void*) {
  auto& self = *static_cast<Processor*>(context);
  const std::uint32_t period = sys().options.dpc_watchdog_period;
  Machine::observe(WatchdogReloaded{period, self.dpc_watchdog_count});
  self.dpc_watchdog_count = period;  // one store: the clock interrupt of this processor comes before or after it
}

void print(const char* text) { Machine::observe(DebugPrinted{text, static_cast<std::uint32_t>(std::strlen(text))}); }

void watch_single(Processor& self) {
  const Options& options = sys().options;
  ++self.dpc_time_count;
  if (options.dpc_time_limit == 0 || self.dpc_time_count <= options.dpc_time_limit) return;
  if (options.watchdog_action == Options::WatchdogAction::Windows7) {
    if (self.dpc_time_count == options.dpc_time_limit + 1) print("A single DPC or ISR has run for longer than its time allotment.\n");
    return;
  }
  bug_check(stop::DpcWatchdogViolation, {0, self.dpc_time_count, options.dpc_time_limit, 0},
            "A single DPC or ISR has run for longer than its time allotment.", "WDG-3");
}

void watch_all(Processor& self) {
  const std::uint32_t period = sys().options.dpc_watchdog_period;
  if (period == 0 || --self.dpc_watchdog_count != 0) return;
  constexpr const char* kSentence = "This processor has been at DISPATCH_LEVEL or above for the whole watchdog period.";
  switch (sys().options.watchdog_action) {
    case Options::WatchdogAction::Violation: bug_check(stop::DpcWatchdogViolation, {1, period, 0, 0}, kSentence, "WDG-1");
    case Options::WatchdogAction::Vista: bug_check(stop::DpcWatchdogTimeout, {period, as_parameter(&self), 0, 0}, kSentence, "WDG-5");
    case Options::WatchdogAction::Windows7:
      print("This processor has been at DISPATCH_LEVEL or above for the whole watchdog period.\n");
      self.dpc_watchdog_count = 2 * period;
  }
}

// A clock interrupt that was due so long ago is one that its processor does not take. Who has itself been away, as all are while a debugger has the process,
// cannot tell, and gives the others the whole time from its return.
void watch_others(Processor& self) {
  const std::uint64_t limit = sys().options.clock_watchdog_ticks * kClockIncrementNanoseconds;
  if (limit == 0) return;
  if (const std::uint64_t now = Machine::now(); now >= self.next_clock + kClockIncrementNanoseconds) self.last_late = now;
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    const Processor& other = processor(number);
    const std::uint64_t due = __atomic_load_n(&other.next_clock, __ATOMIC_RELAXED);
    if (due == 0 || std::max(due, self.last_late) + limit >= self.next_clock) continue;
    bug_check(stop::ClockWatchdogTimeout, {sys().options.clock_watchdog_ticks, 0, as_parameter(&other), number},
              "Another processor takes no clock interrupts any more: it has been at CLOCK_LEVEL or above for longer than the limit.", "9.6");
  }
}

bool in_isr(const Processor& self) { return self.interrupt_nesting > 1; }  // below this clock interrupt; a thread that has raised itself is none

}  // namespace

void start() {
  const std::uint32_t period = sys().options.dpc_watchdog_period;
  if (period == 0) return;
  const std::uint64_t interval = std::max(period / kReloadsPerPeriod, 1u) * kClockIncrement / kHundredNanosecondsPerMillisecond;
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    Processor& target = processor(number);
    target.dpc_watchdog_count = period;
    dpc::initialize(target.watchdog_dpc, reload, &target, DpcType::Threaded);
    (void)dpc::set_target(target.watchdog_dpc, number);
    timer::initialize(target.watchdog_timer, timer::Kind::Notification);
    timer::set(target.watchdog_timer, {.due = -static_cast<std::int64_t>(interval * kHundredNanosecondsPerMillisecond),
                                       .period = static_cast<std::uint32_t>(interval),
                                       .dpc = &target.watchdog_dpc});
  }
}

void isr_begins(Processor& self) {
  if (self.interrupt_nesting == 1 && self.active_dpc == nullptr) self.dpc_time_count = 0;
}

void tick_here(Processor& self) {
  if (in_isr(self) || self.active_dpc != nullptr) watch_single(self);
  watch_all(self);
  watch_others(self);
}

bool query(Information& information) {
  const bool high = Machine::irql() >= Irql::Dispatch;
  if (!high && !threaded_dpc::running_here()) return false;
  RaiseTo<Irql::High> raised;
  const Processor& self = Machine::here();
  const Options& options = sys().options;
  const std::uint32_t used = high && (self.active_dpc != nullptr || self.interrupt_nesting != 0) ? self.dpc_time_count : 0;
  information.time_limit = options.dpc_time_limit;
  information.time_left = options.dpc_time_limit - std::min(used, options.dpc_time_limit);
  information.period_limit = options.dpc_watchdog_period;
  information.period_left = options.dpc_watchdog_period != 0 ? self.dpc_watchdog_count : 0;
  return true;
}

bool should_yield() {
  enum : std::uint8_t { Budget = 1, OthersWait = 2, HalfOfTheWatchdog = 3 };
  const Options& options = sys().options;
  const Processor& self = Machine::here();
  const bool in_dpc = self.active_dpc != nullptr;
  const std::uint64_t budget = options.yield_budget_us * kNanosecondsPerMicrosecond;
  const std::uint32_t time_left = in_dpc ? options.dpc_time_limit - std::min(self.dpc_time_count, options.dpc_time_limit) : options.dpc_time_limit;
  const bool thread_is_ready = self.next_thread != nullptr || self.ready.summary != 0;
  std::uint8_t reason = 0;
  if (in_dpc && budget != 0 && Machine::since(self.dpc_began) >= budget) {
    reason = Budget;
  } else if (self.dpcs.depth() != 0 && thread_is_ready) {
    reason = OthersWait;
  } else if ((options.dpc_time_limit != 0 && time_left <= options.dpc_time_limit / 2) ||
             (options.dpc_watchdog_period != 0 && self.dpc_watchdog_count <= options.dpc_watchdog_period / 2)) {
    reason = HalfOfTheWatchdog;
  }
  if (reason == 0) return false;
  Machine::observe(YieldAdvised{reason, self.dpc_watchdog_count, time_left});
  return true;
}

}  // namespace kdpc::watchdog
