#include "kernel/dpc.h"

#include <atomic>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/ipi.h"
#include "kernel/system.h"
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

Dpc* DpcQueue::pop() {
  Link* link = list_.pop_front();
  if (link == nullptr) return nullptr;
  depth_ = depth_ - 1;
  return owner_of<&Dpc::link>(link);
}

void DpcQueue::remove(Dpc& dpc) {
  List::remove(dpc.link);
  depth_ = depth_ - 1;
}

bool DpcQueue::contains(const Dpc& dpc) const { return list_.contains(dpc.link); }

namespace dpc {

namespace {

// The queue's lock is held at High: nothing may interpose between the decision and the state it rests on.
class SCOPED_CAPABILITY QueueLocked {
 public:
  explicit QueueLocked(DpcQueue& queue) ACQUIRE(queue.lock()) : queue_(queue) { queue_.lock().acquire_here(LockKind::Dispatcher); }
  ~QueueLocked() RELEASE() { queue_.lock().release_here(LockKind::Dispatcher); }
  QueueLocked(const QueueLocked&) = delete;
  QueueLocked& operator=(const QueueLocked&) = delete;

 private:
  DpcQueue& queue_;
};

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

void check_usable(const Dpc* dpc) {
  if (dpc == nullptr) bug_check(stop::IrqlNotLessOrEqual, {0, as_parameter(Irql::High), 1, 0}, "KeInsertQueueDpc was given a null KDPC.", "INS-8");
  if (dpc->type != kDpcType)
    bug_check(stop::IrqlNotLessOrEqual, {as_parameter(dpc), as_parameter(Irql::High), 1, 0},
              "KeInsertQueueDpc was given memory that KeInitializeDpc never initialised.", "INS-8");
}

bool is_a_queue(const DpcQueue* claimed) {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (claimed == &processor(number).dpcs) return true;
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

void initialize(Dpc& dpc, DpcRoutine* routine, void* context) {
  if (dpc.type == kDpcType && is_queued(dpc))
    bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&dpc), 0, 0},
              "KeInitializeDpc was called for a KDPC that is still queued: its links would corrupt the queue.", "INI-4");
  dpc.type = kDpcType;
  dpc.importance = static_cast<std::uint8_t>(Importance::Medium);
  dpc.number = 0;
  dpc.routine = routine;
  dpc.context = context;
  dpc.queue = nullptr;
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
  RaiseTo<Irql::High> raised;
  check_usable(dpc);
  const Processor& self = Machine::here();
  Processor& target = processor(target_of(*dpc, self.number));
  bool request = false;
  {
    QueueLocked locked(target.dpcs);
    // Refused or not: what the caller has done before is seen by the run that follows, because that one takes this lock first.
    Machine::observe(OrderReleased{dpc});
    DpcQueue* none = nullptr;
    if (!__atomic_compare_exchange_n(&dpc->queue, &none, &target.dpcs, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      Machine::observe(DpcRefused{dpc, dpc->routine});
      return false;
    }
    dpc->argument1 = argument1;
    dpc->argument2 = argument2;
    target.dpcs.insert(*dpc);
    // Pairs with the fence at the end of retire_here(): either it sees the new depth, or we see that it is over (RET-3b).
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const auto importance = static_cast<Importance>(dpc->importance);
    if (!target.dpc_routine_active && !target.dpc_interrupt_requested)
      request = &target == &self ? wants_local_drain(importance, self) : wants_remote_drain(importance, target);
    if (request) target.dpc_interrupt_requested = true;
    Machine::observe(DpcQueued{dpc, dpc->routine, target.number, dpc->importance, static_cast<std::uint32_t>(target.dpcs.depth()), request});
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
  QueueLocked locked(*queue);
  if (dpc.queue != queue) return false;  // its drain was faster
  queue->remove(dpc);
  dpc.queue = nullptr;
  Machine::observe(DpcRemoved{&dpc, Machine::here().number});
  return true;
}

void set_importance(Dpc& dpc, Importance importance) { dpc.importance = static_cast<std::uint8_t>(importance); }

bool set_target(Dpc& dpc, unsigned number) {
  if (number >= sys().processor_count) return false;
  dpc.number = static_cast<std::uint16_t>(Dpc::kTargeted + number);
  return true;
}

void call_routine(Dpc* dpc, DpcRoutine* routine, void* context, void* argument1, void* argument2, ActivityKind kind) {
  Processor& self = Machine::here();
  if (routine == nullptr)
    bug_check(stop::DriverIrqlNotLessOrEqual, {0, as_parameter(Irql::Dispatch), 8, 0}, "A DPC with a null routine has come to run.", "INI-2");
  const Thread& thread = *self.current_thread;
  const std::int16_t kernel_before = thread.kernel_apc_disable;
  const std::int16_t special_before = thread.special_apc_disable;
  self.dpc_time_count = 0;
  self.active_dpc = dpc;
  Machine::observe(OrderAcquired{dpc});
  Machine::observe(ActivityBegan{kind, static_cast<std::uint8_t>(Irql::Dispatch), routine, dpc});
  Machine::window();
  routine(dpc, context, argument1, argument2);
  Machine::observe(ActivityEnded{kind, true, routine, dpc});
  if (const Irql now = Machine::irql(); now != Irql::Dispatch)
    bug_check(stop::IrqlUnexpectedValue,
              {as_parameter(now) << 16 | as_parameter(Irql::Dispatch) << 8 | 0x10, as_parameter(routine), as_parameter(dpc), 0},
              "A DPC routine returned at another IRQL than DISPATCH_LEVEL.", "IRQL-10");
  if (thread.kernel_apc_disable != kernel_before || thread.special_apc_disable != special_before)
    bug_check(stop::TimerOrDpcInvalid,
              {kind == ActivityKind::TimerDpc ? 5u : 4u, as_parameter(routine), static_cast<std::uint16_t>(kernel_before),
               static_cast<std::uint16_t>(thread.kernel_apc_disable)},
              "A DPC routine left the borrowed thread with another APC-disable count.", "IRQL-11");
  self.active_dpc = nullptr;
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
      Dpc* dpc;
      DpcRoutine* routine = nullptr;
      void *context = nullptr, *argument1 = nullptr, *argument2 = nullptr;
      {
        QueueLocked locked(self.dpcs);
        dpc = self.dpcs.pop();
        if (dpc != nullptr) {
          routine = dpc->routine;
          context = dpc->context;
          argument1 = dpc->argument1;
          argument2 = dpc->argument2;
          dpc->queue = nullptr;  // K.DPC-2: from here on the object is its owner's again
        }
      }
      if (dpc == nullptr) break;
      lower_here(Irql::Dispatch);
      call_routine(dpc, routine, context, argument1, argument2, ActivityKind::Dpc);
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

namespace {

// One flush DPC per processor, at the tail of its queue: when it runs, everything that was there before has run (FLU-2).
struct Flush {
  EventObject done;
  volatile std::int32_t remaining;
  Dpc dpcs[kMaxProcessors];
};

void KDPC_NTAPI flush_routine(Dpc*, void* context, void*, void*) {
  auto& flush = *static_cast<Flush*>(context);
  if (__atomic_sub_fetch(&flush.remaining, 1, __ATOMIC_ACQ_REL) == 0) wait::set_event(flush.done, 0);
}

}  // namespace

void flush() {
  if (Machine::irql() != Irql::Passive)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(Machine::irql()), 0, 0},
              "KeFlushQueuedDpcs above PASSIVE_LEVEL waits for DPCs that this very processor keeps from running.", "FLU-4");
  Flush flush;  // on this thread's stack: a flush must not fail for want of memory
  wait::initialize_event(flush.done, ObjectType::NotificationEvent, false);
  flush.remaining = static_cast<std::int32_t>(sys().processor_count);
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    Dpc& dpc = flush.dpcs[number];
    dpc.type = 0;
    initialize(dpc, flush_routine, &flush);
    set_importance(dpc, Importance::MediumHigh);  // asks for a drain at once, wherever it goes
    set_target(dpc, number);
    insert(&dpc, nullptr, nullptr);
  }
  wait::for_object(flush.done.header, nullptr);
}

}  // namespace dpc
}  // namespace kdpc
