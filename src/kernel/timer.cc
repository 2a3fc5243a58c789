#include "kernel/timer.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "kernel/bugcheck.h"
#include "kernel/clock.h"
#include "kernel/ex_timer.h"
#include "kernel/ipi.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "kernel/timer_table.h"
#include "this_machine.h"

namespace kdpc::timer {

namespace {

constexpr std::uint64_t kMillisecond = 10000;  // in units of 100 ns

// Batch limits: the dispatcher lock is dropped after so many expiries, so that other processors get at it (SEMANTICS 6.3).
constexpr unsigned kExpiriesPerHold = 4;

struct CapturedDpc {
  Dpc* dpc;
  DpcRoutine* routine;
  void* context;
  bool direct;     // called from the expiry itself, never queued (TIM-15)
  ExTimer* owner;  // whose call this is, or null
};

// -- tolerance: TIM-5 ---------------------------------------------------------------------------------------------------------------------
// NT keeps it in six bits of the header. Ours: none, then 32, 48, 64, 96, 128, … ms; what is asked for is rounded down, so that no promise is
// broken, and less than two default ticks, 32 ms, is none.

constexpr unsigned kLeastExponent = 5;

std::uint8_t encoded(std::uint32_t milliseconds) {
  if (milliseconds < 1u << kLeastExponent) return 0;
  const unsigned exponent = static_cast<unsigned>(std::bit_width(milliseconds)) - 1;
  const unsigned half = milliseconds >> (exponent - 1) & 1;
  return static_cast<std::uint8_t>(1 + (exponent - kLeastExponent) * 2 + half);
}

// In units of 100 ns.
std::uint64_t tolerance_of(const Timer& timer) {
  const unsigned code = timer.header.second >> Timer::kToleranceShift;
  if (code == 0) return 0;
  const unsigned exponent = kLeastExponent + (code - 1) / 2;
  const std::uint64_t milliseconds = (std::uint64_t{2} + (code - 1) % 2) << (exponent - 1);
  return milliseconds * kMillisecond;
}

// Where the expiries of tolerant timers meet: at the roundest moment between `from` and `to`, and of equally round ones at that next to
// `nominal`.
std::uint64_t meeting_point(std::uint64_t from, std::uint64_t nominal, std::uint64_t to) {
  constexpr std::uint64_t kRoundest[] = {1000 * kMillisecond, 500 * kMillisecond, 250 * kMillisecond, 100 * kMillisecond, 50 * kMillisecond};
  if (from == to) return nominal;
  for (const std::uint64_t interval : kRoundest) {
    const std::uint64_t before = nominal / interval * interval;
    const std::uint64_t after = before + interval;
    const bool has_before = before >= from, has_after = after <= to;
    if (has_before && (!has_after || nominal - before <= after - nominal)) return before;
    if (has_after) return after;
  }
  return nominal;
}

// -- when and where -----------------------------------------------------------------------------------------------------------------------

// What a relative time counts from. A high-resolution timer is never early, so the part of the tick that has gone by does not count.
std::uint64_t relative_base(std::uint16_t kind) { return (kind & Timer::kHighResolution) != 0 ? precise_interrupt_time() + 1 : sys().interrupt_time; }

bool is_due(const Setting& setting, std::uint64_t& due_time) {
  if (setting.due < 0) {
    due_time = relative_base(setting.kind) + (0 - static_cast<std::uint64_t>(setting.due));  // the most negative one has no positive counterpart
    return false;
  }
  const std::uint64_t now = sys().interrupt_time;
  const std::int64_t until = setting.due - static_cast<std::int64_t>(system_time());
  due_time = until > 0 ? now + static_cast<std::uint64_t>(until) : now;
  return until <= 0;
}

bool is_global() { return sys().options.timer_table == Options::TimerTables::Global; }

unsigned table_of(const Timer& timer, const Processor& self) {
  if (is_global()) return 0;
  if (timer.dpc == nullptr) return self.number;
  if (timer.dpc->number == 0 && sys().options.untargeted_timer == Options::UntargetedTimer::ProcessorZero) return 0;
  return dpc::target_of(*timer.dpc, self.number);
}

// The table whose timers this processor expires.
TimerTable& table_for(Processor& self) { return is_global() ? processor(0).timers : self.timers; }

// TIM-10: from now on, and what was missed is not caught up. A high-resolution timer keeps its own time instead, so as not to lag by a little
// more with each period; for a tolerant one the period may be shorter too (TIM-5).
std::uint64_t next_expiry(const Timer& timer) {
  const std::uint64_t now = sys().interrupt_time;
  if ((timer.kind & Timer::kExTimer) == 0) {
    const std::uint64_t nominal = now + timer.period * kMillisecond;
    const std::uint64_t tolerance = tolerance_of(timer);
    const std::uint64_t from = nominal - std::min(tolerance, timer.period * kMillisecond - 1);
    return meeting_point(from, nominal, nominal + tolerance);
  }
  if ((timer.kind & Timer::kHighResolution) == 0) return now + timer.period;
  const std::uint64_t missed = now > timer.due_time ? (now - timer.due_time) / timer.period : 0;
  return timer.due_time + (missed + 1) * timer.period;
}

// Signals, wakes, and puts a periodic timer back (TIM-10): its period counts from now, whatever the system time becomes. The timer is in no table.
void expire_locked(Timer& timer) {
  Machine::observe(TimerExpired{&timer, timer.due_time});
  timer.header.signal_state = 1;
  wait::signal_locked(timer.header, 0);
  if (timer.period == 0) return;
  timer.header.second &= static_cast<std::uint8_t>(~unsigned{Timer::kAbsolute});
  insert_locked(timer, next_expiry(timer));
}

// Something in this processor's table is due earlier than it knows; if it has put off its ticks, it must think again.
void announce_locked(Processor& where) {
  if (sys().options.idle_ticks == Options::IdleTicks::All || &where == &Machine::here()) return;
  // Pairs with the fence of the idle loop: either it sees the table before it puts off its ticks, or we see that it has halted.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (where.halted) ipi::request_clock(where);
}

// Of a timer that expires, with the dispatcher lock: the call of its DPC, as it is to be made later. Null dpc: none.
CapturedDpc capture_locked(const Timer& timer, unsigned here) {
  Dpc* dpc = timer.dpc;
  if (dpc == nullptr) return {};
  const bool direct = sys().options.timer_dpc == Options::TimerDpc::Direct && !dpc::is_threaded(*dpc) && dpc::target_of(*dpc, here) == here;
  return {dpc, dpc->routine, dpc->context, direct, ex_timer::call_begins_locked(timer)};
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
  const bool found = processor(timer.processor).timers.find([&](const Timer& each) { return &each == &timer; }) != nullptr;
  scheduler::release_dispatcher_lock(previous);
  return found;
}

void* low_part(std::uint64_t time) { return reinterpret_cast<void*>(time & 0xffffffff); }
void* high_part(std::uint64_t time) { return reinterpret_cast<void*>(time >> 32); }

}  // namespace

std::uint64_t interrupt_time() { return sys().interrupt_time; }
std::uint64_t system_time() { return sys().interrupt_time + static_cast<std::uint64_t>(sys().system_time_offset); }

std::uint64_t precise_interrupt_time() {
  // Another processor's time may be a little ahead of this one's.
  const std::uint64_t last = sys().interrupt_time;
  return std::max((Machine::now() - sys().clock_epoch) / kNanosecondsPer100, last);
}

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
  Machine::observe(ObjectInitialized{&timer, ObjectKind::Timer});
}

void insert_locked(Timer& timer, std::uint64_t due_time) {
  timer.due_time = due_time;
  timer.processor = static_cast<std::uint16_t>(table_of(timer, Machine::here()));
  timer.header.inserted = 1;
  timer.header.size = static_cast<std::uint8_t>(due_time / kClockIncrement % TimerTable::kHands);
  Processor& where = processor(timer.processor);
  where.timers.insert(timer, sys().interrupt_time);
  announce_locked(where);
  if ((timer.kind & Timer::kHighResolution) != 0 && ++sys().high_resolution_timers == 1) clock::choose_interval_locked();
}

void remove_locked(Timer& timer) {
  if (timer.processor >= sys().processor_count)
    bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&timer), 0, 0},
              "A timer that is set has been overwritten: its links would corrupt the table of timers.", "TIM-1");
  processor(timer.processor).timers.remove(timer);
  timer.header.inserted = 0;
  if ((timer.kind & Timer::kHighResolution) != 0 && --sys().high_resolution_timers == 0) clock::choose_interval_locked();
}

bool set_locked(Timer& timer, const Setting& setting) {
  const bool was_set = timer.header.inserted != 0;
  if (was_set) remove_locked(timer);
  timer.header.signal_state = 0;
  const unsigned flags = (setting.due >= 0 ? Timer::kAbsolute : 0u) | static_cast<unsigned>(encoded(setting.tolerable_ms)) << Timer::kToleranceShift;
  timer.header.second = static_cast<std::uint8_t>(flags);
  timer.dpc = setting.dpc;
  timer.period = setting.period;
  timer.kind = setting.kind;
  // For whoever waits, and for the routine, which the expiry calls without queueing its Dpc.
  Machine::observe(OrderReleased{&timer});
  if (timer.dpc != nullptr) Machine::observe(OrderReleased{timer.dpc});
  std::uint64_t due_time = 0;
  const bool due_now = is_due(setting, due_time);
  if (!due_now) due_time = meeting_point(due_time, due_time, due_time + tolerance_of(timer));
  Machine::observe(TimerSet{&timer, timer.dpc, due_time, timer.period, static_cast<std::uint16_t>(table_of(timer, Machine::here()))});
  if (!due_now) {
    insert_locked(timer, due_time);
    return was_set;
  }
  timer.due_time = due_time;
  const CapturedDpc due = capture_locked(timer, Machine::here().number);
  expire_locked(timer);
  // TIM-4: still inside the dispatcher's level, so that the DPC cannot have run before this call has decided everything else.
  const std::uint64_t stamp = system_time();
  if (due.dpc != nullptr && !dpc::insert(due.dpc, low_part(stamp), high_part(stamp)) && due.owner != nullptr)
    ex_timer::call_absorbed_locked(*due.owner);
  return was_set;
}

bool cancel_locked(Timer& timer) {
  const bool was_set = timer.header.inserted != 0;
  if (was_set) remove_locked(timer);
  Machine::observe(TimerCancelled{&timer, was_set});
  return was_set;
}

bool set(Timer& timer, const Setting& setting) {
  check_initialized(timer);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_set = set_locked(timer, setting);
  scheduler::release_dispatcher_lock(previous);
  return was_set;
}

bool cancel(Timer& timer) {
  check_initialized(timer);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_set = cancel_locked(timer);
  scheduler::release_dispatcher_lock(previous);
  return was_set;
}

void set_system_time(std::uint64_t time) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const auto by = static_cast<std::int64_t>(time - system_time());
  sys().system_time_offset = sys().system_time_offset + by;
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    Processor& where = processor(number);
    where.timers.move_absolute(by);
    if (by > 0) announce_locked(where);
  }
  scheduler::release_dispatcher_lock(previous);
}

void check_here(Processor& self) {
  if (self.timer_request || table_for(self).earliest() > sys().interrupt_time) return;
  self.timer_request = true;
  Machine::request_here(kDispatchRequest);
}

//   lock --- up to 4 leave the table, are signalled, go back if periodic --- unlock --- their DPCs run --- again while something is due
//
// A DPC that does not run from here is queued before the lock is given back: whoever then cancels the timer and flushes has waited for it (FLU-2).
void expire_here() {
  Processor& self = Machine::here();
  self.timer_request = false;
  TimerTable& table = table_for(self);
  const std::uint64_t stamp = system_time();
  const std::uint64_t first_hand = table.earliest() / kClockIncrement;
  for (bool more = true; more;) {
    CapturedDpc batch[kExpiriesPerHold];
    unsigned captured = 0;
    const Irql previous = scheduler::acquire_dispatcher_lock();
    const std::uint64_t now = sys().interrupt_time;
    for (unsigned expired = 0; expired < kExpiriesPerHold; ++expired) {
      Timer* timer = table.first_due(now, first_hand);
      if (timer == nullptr) break;
      remove_locked(*timer);
      const CapturedDpc due = capture_locked(*timer, self.number);
      expire_locked(*timer);
      if (due.dpc == nullptr) continue;
      if (due.direct) {
        batch[captured++] = due;
      } else if (!dpc::insert(due.dpc, low_part(stamp), high_part(stamp)) && due.owner != nullptr) {
        ex_timer::call_absorbed_locked(*due.owner);
      }
    }
    more = table.earliest() <= now;
    scheduler::release_dispatcher_lock(previous);
    for (unsigned index = 0; index < captured; ++index) {
      const CapturedDpc& due = batch[index];
      dpc::call_routine({due.dpc, due.routine, due.context, low_part(stamp), high_part(stamp)}, ActivityKind::TimerDpc);
    }
  }
}

}  // namespace kdpc::timer
