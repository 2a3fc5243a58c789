#include "kernel/dpc.h"

#include <atomic>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/ipi.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "this_machine.h"

namespace kdpc {

void DpcQueue::initialize() {
  lock_.initialize();
  list_.initialize();
  depth_ = 0;
  inserted_ = 0;
}

void DpcQueue::insert(Dpc& dpc) {
  depth_ = depth_ + 1;
  inserted_ = inserted_ + 1;
  if (dpc.importance == static_cast<std::uint8_t>(Importance::High)) {
    list_.push_front(dpc.link);
  } else {
    list_.push_back(dpc.link);
  }
}

bool DpcQueue::pop(DueDpc& due) {
  Link* link = list_.pop_front();
  if (link == nullptr) return false;
  depth_ = depth_ - 1;
  Dpc* dpc = owner_of<&Dpc::link>(link);
  due = {dpc, dpc->routine, dpc->context, dpc->argument1, dpc->argument2};
  dpc->queue = nullptr;  // K.DPC-2: from here on the object is its owner's again
  return true;
}

void DpcQueue::remove(Dpc& dpc) {
  List::remove(dpc.link);
  depth_ = depth_ - 1;
}

bool DpcQueue::contains(const Dpc& dpc) const { return list_.contains(dpc.link); }

namespace dpc {

namespace {

bool is_deep(const Processor& target) {
  const std::int32_t depth = target.dpcs.depth();
  return sys().options.depth_compare == Options::DepthCompare::GreaterOrEqual ? depth >= target.maximum_dpc_queue_depth
                                                                              : depth > target.maximum_dpc_queue_depth;
}

bool wants_local_drain(Importance importance, const Processor& self) {
  return importance != Importance::Low || is_deep(self) || self.dpc_request_rate < sys().options.minimum_dpc_rate;
}

// SEMANTICS 5.2 and TAB-1…4, for a target that is another processor.
bool wants_remote_drain(Importance importance, const Processor& target) {
  const Options& options = sys().options;
  const bool polling = target.idle && !target.halted;
  if (polling) return false;  // it looks at its queue before it halts
  const bool urgent =
      importance == Importance::High || (importance == Importance::MediumHigh && options.medium_high_remote == Options::MediumHighRemote::Immediate);
  switch (options.remote_ipi) {
    case Options::RemoteIpi::Microsoft:
      if (target.halted) return urgent || options.idle_low_medium == Options::IdleLowMedium::Wake || is_deep(target);
      return urgent || is_deep(target);
    case Options::RemoteIpi::IdleOnly: return target.halted ? urgent || is_deep(target) : is_deep(target);
    case Options::RemoteIpi::ReactOs: return importance == Importance::High || is_deep(target);
  }
  return true;
}

// Does this insertion ask for a drain? Not while one runs or has been asked for (TAB-5). With the lock of the target's queue.
bool request_drain_locked(Importance importance, const Processor& self, Processor& target) {
  // Pairs with the fence at the end of retire_here(): either it sees the new depth, or we see that it is over (RET-3b).
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (target.dpc_routine_active || target.dpc_interrupt_requested) return false;
  const bool request = &target == &self ? wants_local_drain(importance, self) : wants_remote_drain(importance, target);
  if (request) target.dpc_interrupt_requested = true;
  return request;
}

void check_usable(const Dpc* dpc) {
  if (dpc == nullptr) bug_check(stop::IrqlNotLessOrEqual, {0, as_parameter(Irql::High), 1, 0}, "KeInsertQueueDpc was given a null KDPC.", "INS-8");
  if (dpc->type != static_cast<std::uint8_t>(DpcType::Ordinary) && dpc->type != static_cast<std::uint8_t>(DpcType::Threaded))
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(dpc), as_parameter(Irql::High), 1, 0},
              "KeInsertQueueDpc was given memory that KeInitializeDpc never initialised.", "INS-8");
}

bool is_a_queue(const DpcQueue* claimed) {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (claimed == &processor(number).dpcs || claimed == &processor(number).threaded_dpcs) return true;
  return false;
}

// Of memory that may hold anything.
bool is_queued(const Dpc& dpc) {
  RaiseTo<Irql::High> raised;
  DpcQueue* claimed = dpc.queue;
  if (!is_a_queue(claimed)) return false;
  QueueLocked locked(*claimed);
  return claimed->contains(dpc);
}

}  // namespace

void initialize(Dpc& dpc, DpcRoutine* routine, void* context, DpcType type) {
  if ((dpc.type == static_cast<std::uint8_t>(DpcType::Ordinary) || dpc.type == static_cast<std::uint8_t>(DpcType::Threaded)) && is_queued(dpc))
    bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&dpc), 0, 0},
              "KeInitializeDpc was called for a KDPC that is still queued: its links would corrupt the queue.", "INI-4");
  dpc.type = static_cast<std::uint8_t>(type);
  dpc.importance = static_cast<std::uint8_t>(Importance::Medium);
  dpc.number = 0;
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
  RaiseTo<Irql::High> raised;  // before it looks at the Dpc, as NT does: garbage is found at HIGH_LEVEL (INS-8)
  check_usable(dpc);
  const Processor& self = Machine::here();
  Processor& target = processor(target_of(*dpc, self.number));
  const bool threaded = is_threaded(*dpc);
  DpcQueue& queue = threaded ? target.threaded_dpcs : target.dpcs;
  bool request = false;
  {
    QueueLocked locked(queue);
    // Refused or not: what the caller has done before is seen by the run that follows, because that one takes this lock first.
    Machine::observe(OrderReleased{dpc});
    DpcQueue* none = nullptr;
    if (!__atomic_compare_exchange_n(&dpc->queue, &none, &queue, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      Machine::observe(DpcRefused{dpc, dpc->routine, argument1, argument2});
      return false;
    }
    dpc->argument1 = argument1;
    dpc->argument2 = argument2;
    queue.insert(*dpc);
    request = threaded ? threaded_dpc::request_thread_locked(target) : request_drain_locked(static_cast<Importance>(dpc->importance), self, target);
    Machine::observe(DpcQueued{dpc, dpc->routine, target.number, dpc->importance, static_cast<std::uint32_t>(queue.depth()), request, threaded,
                               argument1, argument2});
  }
  // Signal after unlocking: the target may take the queue lock first thing in its handler.
  if (request) ipi::request_dispatch(target);
  return true;
}

bool remove(Dpc& dpc) {
  RaiseTo<Irql::High> raised;
  DpcQueue* queue = dpc.queue;
  if (queue == nullptr) return false;
  if (!is_a_queue(queue))
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(&dpc), as_parameter(Irql::High), 1, 0},
              "KeRemoveQueueDpc was given memory that KeInitializeDpc never initialised.", "INS-8");
  Machine::window();  // before the lock is taken the drain may have been faster
  QueueLocked locked(*queue);
  if (dpc.queue != queue) return sys().options.remove_semantics == Options::RemoveSemantics::PreVistaSp1;
  queue->remove(dpc);
  dpc.queue = nullptr;
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
  return true;
}

void call_checked(const DueDpc& due, ActivityKind kind, Irql level) {
  if (due.routine == nullptr)
    bug_check(level < Irql::Dispatch ? stop::PageFaultInNonpagedArea : stop::DriverIrqlNotLessOrEqual,
              level < Irql::Dispatch ? StopParameters{0, 8, 0, 0} : StopParameters{0, as_parameter(level), 8, 0},
              "A DPC with a null routine has come to run.", "INI-2");
  const Thread& thread = thread::current();
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

void call_routine(const DueDpc& due, ActivityKind kind) {
  Processor& self = Machine::here();
  self.dpc_time_count = 0;
  self.dpc_began = Machine::mark();
  self.active_dpc = due.dpc;
  const bool is_call = due.dpc == &self.call.dpc;
  if (is_call) generic_call::routine_begins_here(self);
  call_checked(due, kind, Irql::Dispatch);
  if (is_call) generic_call::routine_returned_here(self);
  Machine::observe(OrderReleased{&self.active_dpc});  // for whoever waits for it to end (REM-4)
  __atomic_store_n(&self.active_dpc, nullptr, __ATOMIC_RELEASE);
}

bool has_work(const Processor& processor) { return processor.dpcs.depth() != 0 || processor.timer_request; }

void retire_here() {
  Processor& self = Machine::here();
  std::uint32_t ran = 0;
  Machine::observe(DrainBegan{static_cast<std::uint32_t>(self.dpcs.depth())});
  do {
    self.dpc_routine_active = true;
    if (self.timer_request) {
      lower_here(Irql::Dispatch);
      timer::expire_here();
      Machine::set_irql(Irql::High);
    }
    while (self.dpcs.depth() != 0) {
      DueDpc due;
      {
        QueueLocked locked(self.dpcs);
        if (!self.dpcs.pop(due)) break;
      }
      lower_here(Irql::Dispatch);
      call_routine(due, ActivityKind::Dpc);
      ++ran;
      Machine::set_irql(Irql::High);
    }
    self.dpc_routine_active = false;
    self.dpc_interrupt_requested = false;
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } while (self.dpcs.depth() != 0);
  Machine::observe(DrainEnded{ran});
}

void adapt_here(Processor& self) {
  const Options& options = sys().options;
  const std::uint32_t count = self.dpcs.inserted();
  self.dpc_request_rate = ((count - self.dpc_last_count) + self.dpc_request_rate) >> 1;
  self.dpc_last_count = count;
  const std::int32_t before = self.maximum_dpc_queue_depth;
  if (self.dpcs.depth() != 0 && !self.dpc_routine_active) {
    self.adjust_dpc_countdown = options.adjust_dpc_threshold;
    Machine::request_here(kDispatchRequest);
    if (self.dpc_request_rate < options.ideal_dpc_rate && self.maximum_dpc_queue_depth > 1) --self.maximum_dpc_queue_depth;
  } else if (--self.adjust_dpc_countdown == 0) {
    self.adjust_dpc_countdown = options.adjust_dpc_threshold;
    if (self.maximum_dpc_queue_depth != options.dpc_queue_depth) ++self.maximum_dpc_queue_depth;
  }
  if (self.maximum_dpc_queue_depth != before)
    Machine::observe(DpcThresholdChanged{static_cast<std::uint32_t>(self.maximum_dpc_queue_depth), self.dpc_request_rate});
}

}  // namespace dpc
}  // namespace kdpc
