#include "kernel/dpc.h"

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/ipi.h"
#include "kernel/irql_inline.h"
#include "kernel/outside.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "this_machine.h"

namespace kdpc {

namespace dpc {

namespace {

bool is_deep(std::int32_t depth, const Processor& target) {
  return sys().options.depth_compare == Options::DepthCompare::GreaterOrEqual ? depth >= target.maximum_dpc_queue_depth
                                                                              : depth > target.maximum_dpc_queue_depth;
}

bool wants_local_drain(Importance importance, const Processor& self) {
  return importance != Importance::Low || is_deep(self.dpcs.depth(), self) || self.dpc_request_rate < sys().options.minimum_dpc_rate;
}

// SEMANTICS 5.2 and TAB-1…4, for a target that is another processor and then has `depth` DPCs.
bool wants_remote_drain(Importance importance, std::int32_t depth, const Processor& target) {
  const Options& options = sys().options;
  const bool urgent =
      importance == Importance::High || (importance == Importance::MediumHigh && options.medium_high_remote == Options::MediumHighRemote::Immediate);
  switch (options.remote_ipi) {
    case Options::RemoteIpi::Microsoft:
      if (target.halted) return urgent || options.idle_low_medium == Options::IdleLowMedium::Wake || is_deep(depth, target);
      return urgent || is_deep(depth, target);
    case Options::RemoteIpi::IdleOnly: return target.halted ? urgent || is_deep(depth, target) : is_deep(depth, target);
    case Options::RemoteIpi::ReactOs: return importance == Importance::High || is_deep(depth, target);
  }
  return true;
}

// It looks at its queue before it halts.
bool is_polling(const Processor& target) { return target.idle && !target.halted; }

// Not while one runs or has been asked for (TAB-5).
bool may_ask_for_drain(const Processor& target) { return !target.dpc_routine_active && !target.dpc_interrupt_requested; }

// What is asked of the processor whose queue it went to.
enum class Asked : std::uint8_t { Nothing, Drain };

Asked insert_here(Dpc& dpc, Processor& self, DpcQueue& queue, bool threaded) {
  const auto importance = static_cast<Importance>(dpc.importance);
  // Copies: once it is in the queue another processor can remove it, and free it.
  const bool observed = Machine::observes();
  DpcQueued fact{};
  if (observed) fact = {&dpc, dpc.routine, self.number, dpc.importance, 0, false, threaded, dpc.argument1, dpc.argument2};
  queue.insert_here(dpc);
  bool asks = false;
  if (threaded) {
    asks = threaded_dpc::request_thread(self);
  } else if (may_ask_for_drain(self) && wants_local_drain(importance, self)) {
    self.dpc_interrupt_requested = asks = true;
  }
  if (observed) {
    fact.depth = static_cast<std::uint32_t>(queue.depth());
    fact.drain_requested = asks;
    Machine::observe(fact);
  }
  return asks ? Asked::Drain : Asked::Nothing;
}

// The fact comes first, and says what is going to be asked: once the Dpc has been sent it may run, and be gone. What is really asked is decided after
// that: either the end of the target's drain sees the Dpc, or we see that the drain is over (RET-3b).
Asked insert_elsewhere(Dpc& dpc, Processor& target, DpcQueue& queue, bool threaded) {
  const auto importance = static_cast<Importance>(dpc.importance);
  const auto asks = [&](std::int32_t on_its_way) {
    if (threaded) return threaded_dpc::may_request_thread(target);
    if (is_polling(target)) return false;  // and is not disturbed by a look at what it is about to write
    return may_ask_for_drain(target) && wants_remote_drain(importance, queue.depth() + on_its_way, target);
  };
  if (Machine::observes())
    Machine::observe(DpcQueued{&dpc, dpc.routine, target.number, dpc.importance, static_cast<std::uint32_t>(queue.depth() + 1), asks(1), threaded,
                               dpc.argument1, dpc.argument2});
  queue.send(dpc);
  if (!asks(0)) return Asked::Nothing;
  const bool first = threaded ? threaded_dpc::request_thread(target) : !__atomic_exchange_n(&target.dpc_interrupt_requested, true, __ATOMIC_ACQ_REL);
  return first ? Asked::Drain : Asked::Nothing;
}

bool has_known_type(const Dpc& dpc) {
  return dpc.type == static_cast<std::uint8_t>(DpcType::Ordinary) || dpc.type == static_cast<std::uint8_t>(DpcType::Threaded);
}

void check_usable(const Dpc* dpc) {
  if (dpc == nullptr) bug_check(stop::IrqlNotLessOrEqual, {0, as_parameter(Irql::High), 1, 0}, "KeInsertQueueDpc was given a null KDPC.", "INS-8");
  if (!has_known_type(*dpc))
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(dpc), as_parameter(Irql::High), 1, 0},
              "KeInsertQueueDpc was given memory that KeInitializeDpc never initialised.", "INS-8");
}

DpcQueue& queue_for(Processor& target, bool threaded) { return threaded ? target.threaded_dpcs : target.dpcs; }

bool is_a_queue(const DpcQueue* claimed) {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (claimed == &processor(number).dpcs || claimed == &processor(number).threaded_dpcs) return true;
  return false;
}

// The queue of a Dpc that is queued, if its memory holds a Dpc; or null.
DpcQueue* home_of(const Dpc& dpc) {
  const std::uint16_t home = DpcQueue::home_of(dpc);
  const unsigned number = home / 2u;
  if (number >= sys().processor_count) return nullptr;
  return home % 2u != 0 ? &processor(number).threaded_dpcs : &processor(number).dpcs;
}

// Of memory that may hold anything.
bool is_queued(const Dpc& dpc) {
  RaiseTo<Irql::High> raised;
  if (!is_a_queue(dpc.queue)) return false;
  DpcQueue* home = home_of(dpc);
  return home != nullptr && home->contains(dpc);
}

}  // namespace

void initialize(Dpc& dpc, DpcRoutine* routine, void* context, DpcType type) {
  if (has_known_type(dpc) && is_queued(dpc))
    bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&dpc), 0, 0},
              "KeInitializeDpc was called for a KDPC that is still queued: its links would corrupt the queue.", "INI-4");
  dpc.type = static_cast<std::uint8_t>(type);
  dpc.importance = static_cast<std::uint8_t>(Importance::Medium);
  dpc.number = 0;
  dpc.where.place = Dpc::Place::None;
  dpc.routine = routine;
  dpc.context = context;
  dpc.queue = nullptr;
  Machine::observe(ObjectInitialized{&dpc, ObjectKind::Dpc});
}

bool is_threaded(const Dpc& dpc) {
  return dpc.type == static_cast<std::uint8_t>(DpcType::Threaded) && sys().options.threaded_dpc == Options::ThreadedDpc::Enabled;
}

unsigned target_of(const Dpc& dpc, unsigned here) {
  if (dpc.number == 0) return here;
  const unsigned target = static_cast<unsigned>(dpc.number) - Dpc::kTargeted;
  if (dpc.number < Dpc::kTargeted || target >= sys().processor_count)
    bug_check(stop::TimerOrDpcInvalid, {3, as_parameter(&dpc), dpc.number, sys().processor_count}, "A KDPC names a processor that does not exist.",
              "INS-7");
  return target;
}

bool insert(Dpc* dpc, void* argument1, void* argument2) {
  fetch_for_writing(dpc);  // its last run may have been elsewhere
  const AtHigh raised;     // before it looks at the Dpc, as NT does: garbage is found at HIGH_LEVEL (INS-8)
  check_usable(dpc);
  Processor& self = Machine::here();
  Processor& target = processor(target_of(*dpc, self.number));
  const bool threaded = is_threaded(*dpc);
  DpcQueue& queue = queue_for(target, threaded);
  if (&target != &self) queue.expect_to_send();
  // Refused or not: what the caller has done before is seen by the run that follows.
  Machine::observe(OrderReleased{dpc});
  if (!queue.claim(*dpc, self.number)) {
    Machine::observe(DpcRefused{dpc, dpc->routine, argument1, argument2});
    return false;
  }
  dpc->argument1 = argument1;
  dpc->argument2 = argument2;
  const Asked asked = &target == &self ? insert_here(*dpc, self, queue, threaded) : insert_elsewhere(*dpc, target, queue, threaded);
  if (asked == Asked::Drain) ipi::request_dispatch(target);
  return true;
}

bool remove(Dpc& dpc) {
  RaiseTo<Irql::High> raised;
  const DpcQueue* claimed = dpc.queue;
  if (claimed == nullptr) return false;
  DpcQueue* home = home_of(dpc);
  if (!is_a_queue(claimed) || home == nullptr)
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(&dpc), as_parameter(Irql::High), 1, 0},
              "KeRemoveQueueDpc was given memory that KeInitializeDpc never initialised.", "INS-8");
  Machine::window();  // until it is found the drain may be faster
  if (!home->remove(dpc)) return sys().options.remove_semantics == Options::RemoveSemantics::PreVistaSp1;
  Machine::observe(DpcRemoved{&dpc, Machine::here().number});
  return true;
}

namespace {

// Would whoever waits here for the routine of `dpc` keep it from ending?
bool stands_on(const Dpc& dpc) {
  if (threaded_dpc::running_here()) return processor(thread::current().processor).active_threaded_dpc == &dpc;
  const Irql level = Machine::irql();
  if (level < Irql::Dispatch) return false;
  const Processor& self = Machine::here();
  return self.active_dpc == &dpc || self.active_threaded_dpc == &dpc;  // a thread is not switched to while somebody spins at Dispatch
}

void wait_while_active(const Dpc& dpc, Dpc* const volatile& active) {
  while (__atomic_load_n(&active, __ATOMIC_ACQUIRE) == &dpc) Machine::spin_pause(reinterpret_cast<const volatile std::uintptr_t*>(&active));
  Machine::observe(OrderAcquired{&active});
}

}  // namespace

bool remove_or_wait(Dpc& dpc) {
  if (remove(dpc)) return true;
  if (stands_on(dpc))
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(Machine::irql()), as_parameter(&dpc), 0},
              "KeRemoveQueueDpcEx waits for the DPC routine that it was called from, or that it has interrupted.", "REM-4");
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    wait_while_active(dpc, processor(number).active_dpc);
    wait_while_active(dpc, processor(number).active_threaded_dpc);
  }
  return false;
}

void set_importance(Dpc& dpc, Importance importance) { dpc.importance = static_cast<std::uint8_t>(importance); }

bool set_target(Dpc& dpc, unsigned number) {
  if (number >= sys().processor_count) return false;
  dpc.number = static_cast<std::uint16_t>(Dpc::kTargeted + number);
  Machine::observe(DpcTargeted{&dpc, static_cast<std::uint16_t>(number)});
  return true;
}

// Static, and in no nameless namespace: these two stand in the backtrace of every DPC that somebody debugs.
static inline void call_borrowing(const DueDpc& due, ActivityKind kind, Irql level, const Thread& thread) {
  if (due.routine == nullptr)
    bug_check(level < Irql::Dispatch ? stop::PageFaultInNonpagedArea : stop::DriverIrqlNotLessOrEqual,
              level < Irql::Dispatch ? StopParameters{0, 8, 0, 0} : StopParameters{0, as_parameter(level), 8, 0},
              "A DPC with a null routine has come to run.", "INI-2");
  const std::int16_t kernel_before = thread.kernel_apc_disable;
  const std::int16_t special_before = thread.special_apc_disable;
  Machine::observe(OrderAcquired{due.dpc});
  Machine::observe(ActivityBegan{kind, static_cast<std::uint8_t>(level), due.routine, due.dpc});
  Machine::window();
  due.routine(due.dpc, due.context, due.argument1, due.argument2);
  Machine::observe(ActivityEnded{kind, true, due.routine, due.dpc});
  if (const Irql now = Machine::irql(); now != level)
    bug_check(stop::IrqlUnexpectedValue,
              {as_parameter(now) << 16 | as_parameter(level) << 8 | 0x10, as_parameter(due.routine), as_parameter(due.dpc), 0},
              level < Irql::Dispatch ? "The routine of a threaded DPC returned at another IRQL than PASSIVE_LEVEL."
                                     : "A DPC routine returned at another IRQL than DISPATCH_LEVEL.",
              "IRQL-10");
  if (thread.kernel_apc_disable != kernel_before || thread.special_apc_disable != special_before)
    bug_check(stop::TimerOrDpcInvalid,
              {kind == ActivityKind::TimerDpc ? 5u : 4u, as_parameter(due.routine), static_cast<std::uint16_t>(kernel_before),
               static_cast<std::uint16_t>(thread.kernel_apc_disable)},
              "A DPC routine left the borrowed thread with another APC-disable count.", "IRQL-11");
}

static inline void call_routine_here(Processor& self, const DueDpc& due, ActivityKind kind) {
  self.dpc_time_count = 0;
  self.dpc_began = Machine::mark();
  const bool is_call = due.dpc == &self.call.dpc;
  if (is_call) generic_call::routine_begins_here(self);
  call_borrowing(due, kind, Irql::Dispatch, *self.current_thread);
  if (is_call) generic_call::routine_returned_here(self);
  Machine::observe(OrderReleased{&self.active_dpc});  // for whoever waits for it to end (REM-4, FLU-1)
  __atomic_store_n(&self.active_dpc, nullptr, __ATOMIC_RELEASE);
}

void call_checked(const DueDpc& due, ActivityKind kind, Irql level) { call_borrowing(due, kind, level, thread::current()); }
void call_routine(const DueDpc& due, ActivityKind kind) {
  Processor& self = Machine::here();
  self.active_dpc = due.dpc;  // it comes from no queue, which would have named it
  call_routine_here(self, due, kind);
}

void retire_here() {
  Processor& self = Machine::here();
  std::uint32_t ran = 0;
  if (Machine::observes()) Machine::observe(DrainBegan{static_cast<std::uint32_t>(self.dpcs.depth())});
  do {
    self.dpc_routine_active = true;
    if (self.timer_request) {
      lower_here(Irql::Dispatch);
      timer::expire_here();
      Machine::set_irql(Irql::High);
    }
    for (DueDpc due; self.dpcs.pop_here(due, self.active_dpc);) {
      lower_inline_here(Irql::Dispatch);
      call_routine_here(self, due, ActivityKind::Dpc);
      ++ran;
      Machine::set_irql(Irql::High);
    }
    self.dpc_routine_active = false;
    self.dpc_interrupt_requested = false;
    self.dpcs.order_here();
  } while (self.dpcs.has_any());
  Machine::observe(DrainEnded{ran});
}

void adapt_here(Processor& self) {
  const Options& options = sys().options;
  const std::uint32_t count = self.dpcs.inserted();
  // Less than before: a visitor has some of them in hand.
  if (const auto more = static_cast<std::int32_t>(count - self.dpc_last_count); more >= 0) {
    self.dpc_request_rate = (static_cast<std::uint32_t>(more) + self.dpc_request_rate) >> 1;
    self.dpc_last_count = count;
  }
  const std::int32_t before = self.maximum_dpc_queue_depth;
  if (self.dpcs.depth() != 0 && !self.dpc_routine_active) {
    self.adjust_dpc_countdown = options.adjust_dpc_threshold;
    Machine::request_here(kDispatchRequest);
    if (self.dpc_request_rate < options.ideal_dpc_rate && self.maximum_dpc_queue_depth > 1)
      self.maximum_dpc_queue_depth = self.maximum_dpc_queue_depth - 1;
  } else if (--self.adjust_dpc_countdown == 0) {
    self.adjust_dpc_countdown = options.adjust_dpc_threshold;
    if (self.maximum_dpc_queue_depth != options.dpc_queue_depth) self.maximum_dpc_queue_depth = self.maximum_dpc_queue_depth + 1;
  }
  if (self.maximum_dpc_queue_depth != before)
    Machine::observe(DpcThresholdChanged{static_cast<std::uint32_t>(self.maximum_dpc_queue_depth), self.dpc_request_rate});
}

}  // namespace dpc

// It is "elsewhere" whatever the target, and nothing here asks which processor this is.
bool outside::insert_dpc(Dpc& dpc, void* argument1, void* argument2) {
  if (!dpc::has_known_type(dpc)) return false;
  const unsigned number = dpc.number == 0 ? 0u : static_cast<unsigned>(dpc.number) - Dpc::kTargeted;
  if (sys().processor_count <= number) return false;
  Processor& target = processor(number);
  const bool threaded = dpc::is_threaded(dpc);
  DpcQueue& queue = dpc::queue_for(target, threaded);
  Machine::observe(OrderReleased{&dpc});
  if (!queue.claim(dpc, DpcQueue::kNobodys)) {
    Machine::observe(DpcRefused{&dpc, dpc.routine, argument1, argument2});
    return false;
  }
  dpc.argument1 = argument1;
  dpc.argument2 = argument2;
  if (dpc::insert_elsewhere(dpc, target, queue, threaded) == dpc::Asked::Drain) ipi::interrupt_for_dispatch(target);
  return true;
}

}  // namespace kdpc
