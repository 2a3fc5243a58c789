#include "kernel/timer.h"

#include "kernel/bugcheck.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

void TimerTable::initialize() {
  list_.initialize();
  update_earliest();
}

void TimerTable::insert(Timer& timer) {
  Link* position = list_.first();
  while (position != nullptr && owner_of<&Timer::link>(position)->due_time <= timer.due_time) position = list_.after(position);
  if (position != nullptr) {
    list_.insert_before(timer.link, *position);
  } else {
    list_.push_back(timer.link);
  }
  update_earliest();
}

void TimerTable::remove(Timer& timer) {
  List::remove(timer.link);
  update_earliest();
}

Timer* TimerTable::first_due(std::uint64_t now) const {
  Link* link = list_.first();
  if (link == nullptr) return nullptr;
  Timer* timer = owner_of<&Timer::link>(link);
  return timer->due_time <= now ? timer : nullptr;
}

void TimerTable::update_earliest() {
  Link* link = list_.first();
  earliest_ = link == nullptr ? ~std::uint64_t{0} : owner_of<&Timer::link>(link)->due_time;
}

namespace timer {

namespace {

constexpr std::uint64_t kHundredNanosecondsPerMillisecond = 10000;

// Batch limits: the dispatcher lock is dropped after so many expiries, so that other processors get at it (SEMANTICS 6.3).
constexpr unsigned kExpiriesPerHold = 4;

struct CapturedDpc {
  Dpc* dpc;
  DpcRoutine* routine;
  void* context;
  bool direct;  // called from the expiry itself, never queued (TIM-15)
};

bool is_due(std::int64_t due, std::uint64_t& due_time) {
  const std::uint64_t now = sys().interrupt_time;
  if (due < 0) {
    due_time = now + (0 - static_cast<std::uint64_t>(due));  // the most negative one has no positive counterpart
    return false;
  }
  const std::int64_t until = due - static_cast<std::int64_t>(system_time());
  due_time = until > 0 ? now + static_cast<std::uint64_t>(until) : now;
  return until <= 0;
}

unsigned table_of(const Timer& timer, const Processor& self) {
  if (timer.dpc == nullptr) return self.number;
  if (timer.dpc->number == 0 && sys().options.untargeted_timer == Options::UntargetedTimer::ProcessorZero) return 0;
  return dpc::target_of(*timer.dpc, self.number);
}

// Signals, wakes, and puts a periodic timer back (TIM-10). The timer is in no table.
void expire_locked(Timer& timer) {
  Machine::observe(TimerExpired{&timer, timer.due_time});
  timer.header.signal_state = 1;
  wait::signal_locked(timer.header, 0);
  if (timer.period != 0) insert_locked(timer, sys().interrupt_time + timer.period * kHundredNanosecondsPerMillisecond);
}

bool is_timer(const Timer& timer) {
  return timer.header.type == static_cast<std::uint8_t>(Kind::Notification) || timer.header.type == static_cast<std::uint8_t>(Kind::Synchronization);
}

void check_initialized(const Timer& timer) {
  if (!is_timer(timer))
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(&timer), as_parameter(Machine::irql()), 1, 0},
              "A timer routine was given memory that KeInitializeTimer never initialised.", "TIM-1");
}

// Of memory that may hold anything.
bool is_in_a_table(const Timer& timer) {
  if (!is_timer(timer) || timer.header.inserted == 0 || timer.processor >= sys().processor_count) return false;
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool found = processor(timer.processor).timers.timers().contains(timer.link);
  scheduler::release_dispatcher_lock(previous);
  return found;
}

void* low_part(std::uint64_t time) { return reinterpret_cast<void*>(time & 0xffffffff); }
void* high_part(std::uint64_t time) { return reinterpret_cast<void*>(time >> 32); }

}  // namespace

std::uint64_t interrupt_time() { return sys().interrupt_time; }
std::uint64_t system_time() { return sys().interrupt_time + static_cast<std::uint64_t>(sys().system_time_offset); }

void initialize(Timer& timer, Kind kind) {
  if (is_in_a_table(timer))
    bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&timer), 0, 0},
              "KeInitializeTimer was called for a timer that is still set: its links would corrupt the timer table.", "INI-4");
  timer.header.type = static_cast<std::uint8_t>(kind);
  timer.header.size = sizeof(Timer) / sizeof(std::uint32_t);
  timer.header.inserted = 0;
  timer.header.signal_state = 0;
  timer.header.waiters.initialize();
  timer.due_time = 0;
  timer.period = 0;
}

void insert_locked(Timer& timer, std::uint64_t due_time) {
  timer.due_time = due_time;
  timer.processor = static_cast<std::uint16_t>(table_of(timer, Machine::here()));
  timer.header.inserted = 1;
  processor(timer.processor).timers.insert(timer);
}

void remove_locked(Timer& timer) {
  processor(timer.processor).timers.remove(timer);
  timer.header.inserted = 0;
}

bool set(Timer& timer, std::int64_t due, std::uint32_t period_ms, Dpc* dpc) {
  check_initialized(timer);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_set = timer.header.inserted != 0;
  if (was_set) remove_locked(timer);
  timer.header.signal_state = 0;
  timer.dpc = dpc;
  timer.period = period_ms;
  // For whoever waits, and for the routine, which the expiry calls without queueing its Dpc.
  Machine::observe(OrderReleased{&timer});
  if (dpc != nullptr) Machine::observe(OrderReleased{dpc});
  std::uint64_t due_time = 0;
  const bool due_now = is_due(due, due_time);
  Machine::observe(TimerSet{&timer, dpc, due_time, period_ms, static_cast<std::uint16_t>(table_of(timer, Machine::here()))});
  if (due_now) {
    timer.due_time = due_time;
    expire_locked(timer);
  } else {
    insert_locked(timer, due_time);
  }
  const std::uint64_t stamp = system_time();
  // TIM-4: still inside the dispatcher's level, so that the DPC cannot have run before this call has decided everything else.
  if (due_now && dpc != nullptr) dpc::insert(dpc, low_part(stamp), high_part(stamp));
  scheduler::release_dispatcher_lock(previous);
  return was_set;
}

bool cancel(Timer& timer) {
  check_initialized(timer);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_set = timer.header.inserted != 0;
  if (was_set) remove_locked(timer);
  Machine::observe(TimerCancelled{&timer, was_set});
  scheduler::release_dispatcher_lock(previous);
  return was_set;
}

void check_here(Processor& self) {
  if (self.timer_request || self.timers.earliest() > sys().interrupt_time) return;
  self.timer_request = true;
  Machine::request_here(kDispatchRequest);
}

//   lock --- up to 4 leave the table, are signalled, go back if periodic --- unlock --- their DPCs run --- again while something is due
void expire_here() {
  Processor& self = Machine::here();
  self.timer_request = false;
  const std::uint64_t stamp = system_time();
  for (bool more = true; more;) {
    CapturedDpc batch[kExpiriesPerHold];
    unsigned captured = 0;
    const Irql previous = scheduler::acquire_dispatcher_lock();
    const std::uint64_t now = sys().interrupt_time;
    for (unsigned expired = 0; expired < kExpiriesPerHold; ++expired) {
      Timer* timer = self.timers.first_due(now);
      if (timer == nullptr) break;
      remove_locked(*timer);
      if (Dpc* dpc = timer->dpc; dpc != nullptr) {
        const bool direct = sys().options.timer_dpc == Options::TimerDpc::Direct && dpc::target_of(*dpc, self.number) == self.number;
        batch[captured++] = {dpc, dpc->routine, dpc->context, direct};
      }
      expire_locked(*timer);
    }
    more = self.timers.first_due(now) != nullptr;
    scheduler::release_dispatcher_lock(previous);
    for (unsigned index = 0; index < captured; ++index) {
      const CapturedDpc& due = batch[index];
      if (due.direct) {
        dpc::call_routine(due.dpc, due.routine, due.context, low_part(stamp), high_part(stamp), ActivityKind::TimerDpc);
      } else {
        dpc::insert(due.dpc, low_part(stamp), high_part(stamp));
      }
    }
  }
}

}  // namespace timer
}  // namespace kdpc
