#include "kernel/scheduler.h"

#include <algorithm>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/clock.h"
#include "kernel/dpc.h"
#include "kernel/ipi.h"
#include "kernel/irql_inline.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "this_machine.h"

namespace kdpc {

namespace scheduler {

namespace {

constexpr std::uint8_t kHighestVariablePriority = 15;
constexpr std::uint8_t kNoBoostFrom = 14;  // BOOST-1 (a)

// Towards the base; a priority that was set below it is given up.
void decay_one_step(Thread& thread) {
  if (thread.priority >= kLowRealtimePriority) return;
  thread.priority = std::max(static_cast<std::uint8_t>(thread.priority - 1), thread.base_priority);
}

// BOOST-1. The unit of quantum is what a wait costs; one that a kernel APC has only interrupted costs nothing.
void boost(Thread& thread, std::int32_t increment, bool by_kernel_apc) {
  if (thread.priority >= kLowRealtimePriority || thread.base_priority >= kNoBoostFrom) {
    thread.quantum = thread.quantum_reset;
    return;
  }
  if (increment > 0) thread.quantum = thread.quantum_reset;
  if (!by_kernel_apc && sys().options.quantum == Options::Quantum::Classic) thread.quantum = static_cast<std::int8_t>(thread.quantum - 1);
  if (thread.quantum <= 0) {
    thread.quantum = thread.quantum_reset;
    decay_one_step(thread);
  }
  const std::int32_t boosted = std::min<std::int32_t>(thread.base_priority + increment, kHighestVariablePriority);
  if (boosted > thread.priority) thread.priority = static_cast<std::uint8_t>(boosted);
}

// `asked`: whose being idle, or not, has decided.
Processor& choose_processor(const Thread& thread, ProcessorSet& asked) {
  const ProcessorSet allowed = thread.affinity & active_processors();
  const ProcessorSet idle = allowed & sys().idle_processors;
  asked = {};
  if (allowed.count() == 1) return processor(allowed.lowest());
  asked = allowed & ProcessorSet::only(thread.ideal_processor);
  if (idle.has(thread.ideal_processor)) return processor(thread.ideal_processor);
  asked = allowed;
  if (idle.has(thread.processor)) return processor(thread.processor);
  if (!idle.empty()) return processor(idle.lowest());
  if (allowed.has(thread.ideal_processor)) return processor(thread.ideal_processor);
  if (allowed.has(thread.processor)) return processor(thread.processor);
  return processor(allowed.lowest());
}

void stand_by(Thread& thread, Processor& target) {
  thread.state = ThreadState::Standby;
  thread.processor = target.number;
  target.next_thread = &thread;
}

// Best of the other processors' ready threads that may run here: an idle processor helps.
Thread* steal_for(const Processor& self) {
  Thread* best = nullptr;
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    if (number == self.number) continue;
    if (Thread* better = processor(number).ready.best_for(self.number, best != nullptr ? best->priority + 1u : 0u)) best = better;
  }
  if (best != nullptr) processor(best->processor).ready.remove(*best);
  return best;
}

// Whom this processor runs when its current thread stops: NextThread, the best ready one, another processor's, or its idle thread.
Thread& take_next(Processor& self) {
  if (Thread* next = self.next_thread; next != nullptr) {
    self.next_thread = nullptr;
    return *next;
  }
  if (Thread* ready = self.ready.best(0); ready != nullptr) {
    self.ready.remove(*ready);
    return *ready;
  }
  if (Thread* stolen = steal_for(self); stolen != nullptr) return *stolen;
  return *self.idle_thread;
}

// Among the idle ones is only who would take any thread: one that has been chosen already must not be replaced by the next.
void set_idle(Processor& self, bool idle) {
  self.idle = idle;
  if (idle && self.next_thread == nullptr) {
    sys().idle_processors.add(self.number);
  } else {
    sys().idle_processors.remove(self.number);
  }
}

// The dispatcher lock is held by this processor, before and after; `old` may come back on another one.
void switch_locked(Thread& old, Thread& next, WaitReason why) {
  Processor& self = Machine::here();
  if (self.dpc_routine_active)
    bug_check(stop::AttemptedSwitchFromDpc, {as_parameter(&old), as_parameter(&next), old.machine.stack_high, 0},
              "A wait, or another attempt to switch threads, was made from within a DPC routine.", "RET-10");
  if (self.interrupt_nesting != 0)
    bug_check(stop::AttemptedSwitchFromDpc, {as_parameter(&old), as_parameter(&next), old.machine.stack_high, 0},
              "A wait, or another attempt to switch threads, was made from within an interrupt service routine.", "RET-10");
  clock::stop_charging_here(self);
  self.current_thread = &next;
  clock::begin_charging_here(self);
  next.state = ThreadState::Running;
  next.processor = self.number;
  set_idle(self, next.is_idle);
  if (old.is_idle) {
    // Who inserted a DPC while the idle loop polled has asked for nothing, and the loop now ends.
    self.dpcs.order_here();
    if (dpc::has_work(self) || self.dpc_thread_signal) Machine::request_here(kDispatchRequest);
  }
  if (next.quantum <= 0) next.quantum = next.quantum_reset;
  Machine::observe(ThreadSwitched{old.id, next.id, why, next.is_idle});
  Machine::switch_to(old, next);
  thread::finish_switch_locked();
  // The thread that went on may have been overtaken while it was chosen, and where it goes on nobody looks a second time.
  if (Machine::here().next_thread != nullptr) Machine::request_here(kDispatchRequest);
}

// The running thread gives way to `next`, stays runnable, and finds its place again.
void give_way_locked(Thread& next, WaitReason why) {
  Processor& self = Machine::here();
  Thread& old = *self.current_thread;
  self.current_thread = &next;  // so that `old` is compared with who really runs here now
  next.processor = self.number;
  if (!old.is_idle) {
    set_idle(self, next.is_idle);
    ready_locked(old);
  }
  self.current_thread = &old;
  switch_locked(old, next, why);
}

}  // namespace

Irql acquire_dispatcher_lock() NO_PERMISSION_CHECK {
  const Irql previous = raise_here(Irql::Synch);
  sys().dispatcher_lock.acquire_here(LockKind::System);
  return previous;
}

void release_dispatcher_lock(Irql previous) NO_PERMISSION_CHECK {
  Processor& self = Machine::here();
  bool ask = false;
  if (self.next_thread != nullptr) {
    if (previous < Irql::Dispatch) {
      Thread& next = *self.next_thread;
      self.next_thread = nullptr;
      give_way_locked(next, WaitReason::Preempted);
    } else {
      ask = !self.dpc_routine_active;  // a drain looks at NextThread itself when it is done
    }
  }
  sys().dispatcher_lock.release_here(LockKind::System);
  if (ask) Machine::request_here(kDispatchRequest);
  lower_here(previous);
}

void ready_locked(Thread& thread) {
  ProcessorSet asked;
  Processor& target = choose_processor(thread, asked);
  Machine::observe(ThreadReadied{thread.id, target.number, thread.priority, asked.mask()});
  const bool at_head = thread.preempted;
  thread.preempted = false;
  if (sys().idle_processors.has(target.number)) {
    KDPC_INVARIANT("K.SCHED-1", target.next_thread == nullptr);
    sys().idle_processors.remove(target.number);
    stand_by(thread, target);
    ipi::request_dispatch(target);
    return;
  }
  Thread* rival = target.next_thread != nullptr ? target.next_thread : target.current_thread;
  if (thread.priority > rival->priority || rival->is_idle) {
    if (Thread* displaced = target.next_thread; displaced != nullptr) {
      stand_by(thread, target);
      displaced->preempted = true;
      displaced->state = ThreadState::Ready;
      ready_locked(*displaced);
    } else {
      target.current_thread->preempted = true;
      stand_by(thread, target);
    }
    if (&target != &Machine::here()) ipi::request_dispatch(target);
    return;
  }
  thread.state = ThreadState::Ready;
  thread.processor = target.number;
  target.ready.insert(thread, at_head);
}

void unwait_locked(Thread& thread, std::int32_t increment, std::int32_t result) {
  wait::end_locked(thread, result);
  thread.waiting_for = nullptr;
  thread.wait_result = result;
  boost(thread, increment, result == status::KernelApc);
  ready_locked(thread);
}

void block_current_locked(WaitReason why) {
  Processor& self = Machine::here();
  Thread& old = *self.current_thread;
  old.wait_reason = why;
  old.preempted = false;
  if (self.dpc_routine_active) switch_locked(old, self.next_thread != nullptr ? *self.next_thread : *self.idle_thread, why);  // RET-10
  switch_locked(old, take_next(self), why);
}

bool yield_locked() {
  Processor& self = Machine::here();
  Thread& old = *self.current_thread;
  Thread* next = self.next_thread != nullptr ? self.next_thread : self.ready.best(1);
  if (next == nullptr) return false;
  if (next == self.next_thread) {
    self.next_thread = nullptr;
  } else {
    self.ready.remove(*next);
  }
  old.quantum = old.quantum_reset;
  decay_one_step(old);
  old.preempted = false;
  if (old.priority > next->priority && (old.affinity & sys().idle_processors).empty()) {
    // Asked for its place, it would take the processor back at once.
    Machine::observe(ThreadReadied{old.id, self.number, old.priority, old.affinity.mask()});
    old.state = ThreadState::Ready;
    self.ready.insert(old, false);
    switch_locked(old, *next, WaitReason::Yield);
  } else {
    give_way_locked(*next, WaitReason::Yield);
  }
  return true;
}

namespace {

// SEMANTICS 6.4: the reset, one step of decay, and a ready thread of at least the same priority.
void end_quantum_locked(Processor& self) {
  Thread& thread = *self.current_thread;
  if (thread.is_idle || thread.quantum > 0) return;
  thread.quantum = thread.quantum_reset;
  decay_one_step(thread);
  if (self.next_thread != nullptr) return;
  Thread* ready = self.ready.best(thread.priority);
  if (ready == nullptr) return;
  self.ready.remove(*ready);
  stand_by(*ready, self);
}

void retire_on_dpc_stack(void*) { dpc::retire_here(); }

}  // namespace

Irql take_request(Irql level) {
  Machine::set_irql(Irql::High);
  Requests rest = Machine::take_requests();
  Irql asked = level;
  if ((rest & kDispatchRequest) != 0) {
    asked = Irql::Dispatch;
    rest &= ~kDispatchRequest;
  } else if ((rest & kApcRequest) != 0 && level < Irql::Apc) {
    asked = Irql::Apc;
    rest &= ~kApcRequest;
  }
  if (rest != 0) Machine::request_here(rest);
  Machine::set_irql(asked);
  return asked;
}

void dispatch_interrupt() NO_PERMISSION_CHECK {
  Machine::set_irql(Irql::High);
  Processor& self = Machine::here();
  if (!dpc::has_work(self)) {
    self.dpc_interrupt_requested = false;
    self.dpcs.order_here();  // what has come meanwhile has asked for nothing
  }
  if (dpc::has_work(self)) {
    clock::stop_charging_here(self);
    Machine::call_on(StackKind::Dpc, retire_on_dpc_stack, nullptr);
    clock::begin_charging_here(self);
  }
  lower_inline_here(Irql::Dispatch);
  if (self.dpc_thread_signal) threaded_dpc::wake_thread_here();
  if (!self.quantum_end && self.next_thread == nullptr) return;
  const Irql previous = acquire_dispatcher_lock();
  WaitReason why = WaitReason::Preempted;
  if (self.quantum_end) {
    self.quantum_end = false;
    why = WaitReason::QuantumEnd;
    end_quantum_locked(self);
  }
  if (Thread* next = self.next_thread; next != nullptr) {
    self.next_thread = nullptr;
    give_way_locked(*next, why);
  }
  sys().dispatcher_lock.release_here(LockKind::System);
  lower_here(previous);
}

namespace {

// Part of a Processor: the watchdog's.
bool is_kernels_own(const Timer& timer) {
  const auto first = Address(&processor(0)).value;
  return Address(&timer).value - first < sizeof(Processor) * sys().processor_count;
}

}  // namespace

bool is_at_rest(const Processor& processor) {
  if (processor.dpcs.depth() != 0 || processor.threaded_dpcs.depth() != 0 || processor.ready.summary != 0 || processor.next_thread != nullptr)
    return false;
  return processor.timers.find([](const Timer& timer) { return !is_kernels_own(timer); }) == nullptr;
}

void idle_loop() NO_PERMISSION_CHECK {
  Processor* self = &Machine::here();
  clock::start_here(*self);
  for (;;) {
    Machine::set_irql(Irql::High);
    const Requests others = Machine::take_requests() & ~kDispatchRequest;
    if (others != 0) Machine::request_here(others);
    if (dpc::has_work(*self)) {
      dpc::retire_here();  // RET-11: on the idle stack
      lower_here(Irql::Dispatch);
      continue;
    }
    self->dpc_interrupt_requested = false;
    if (self->dpc_thread_signal) {
      lower_here(Irql::Dispatch);
      threaded_dpc::wake_thread_here();
      continue;
    }
    if (self->next_thread == nullptr && self->ready.summary == 0) {
      clock::idle_begins_here(*self);
      Machine::idle();
      clock::idle_ends_here(*self);
      if (self->halted) self->halted = false;  // others read it all the time
      lower_here(Irql::Dispatch);
      continue;
    }
    lower_here(Irql::Dispatch);
    const Irql previous = acquire_dispatcher_lock();
    Thread& next = take_next(*self);
    if (!next.is_idle) switch_locked(*self->idle_thread, next, WaitReason::Executive);
    sys().dispatcher_lock.release_here(LockKind::System);
    lower_here(previous);
  }
}

namespace {

// A thread that is to run next has been made lower: somebody who is ready there, or the one that runs, may be better now.
void reconsider_standby_locked(Thread& thread) {
  Processor& where = processor(thread.processor);
  const Thread& running = *where.current_thread;
  Thread* better = where.ready.best(thread.priority + 1u);
  if (better != nullptr && !running.is_idle && better->priority <= running.priority) better = nullptr;
  if (better == nullptr && (running.is_idle || thread.priority > running.priority)) return;
  thread.state = ThreadState::Ready;
  if (better != nullptr) {
    where.ready.remove(*better);
    stand_by(*better, where);
  } else {
    where.next_thread = nullptr;
    where.current_thread->preempted = false;
  }
  ready_locked(thread);
}

}  // namespace

void change_priority_locked(Thread& thread, std::uint8_t priority) {
  const std::uint8_t old = thread.priority;
  if (old == priority) return;
  thread.quantum = thread.quantum_reset;
  switch (thread.state) {
    case ThreadState::Ready: {
      processor(thread.processor).ready.remove(thread);
      thread.priority = priority;
      ready_locked(thread);
      return;
    }
    case ThreadState::Standby: {
      thread.priority = priority;
      if (priority < old) reconsider_standby_locked(thread);
      return;
    }
    case ThreadState::Running: {
      thread.priority = priority;
      Processor& where = processor(thread.processor);
      if (priority > old || where.next_thread != nullptr) return;
      Thread* better = where.ready.best(priority + 1u);
      if (better == nullptr) return;
      where.ready.remove(*better);
      thread.preempted = true;
      stand_by(*better, where);
      if (&where != &Machine::here()) ipi::request_dispatch(where);
      return;
    }
    default: thread.priority = priority;
  }
}

void change_affinity_locked(Thread& thread, ProcessorSet affinity) {
  thread.affinity = affinity;
  if (!affinity.has(thread.ideal_processor)) thread.ideal_processor = static_cast<std::uint16_t>(affinity.lowest());
  Processor& self = Machine::here();
  if (self.current_thread != &thread || affinity.has(self.number)) return;
  // It must leave: whoever comes next runs here, and the thread goes where it may.
  Thread& next = take_next(self);
  give_way_locked(next, WaitReason::Yield);
}

}  // namespace scheduler
}  // namespace kdpc
