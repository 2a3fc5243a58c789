#include "kernel/thread.h"

#include <algorithm>
#include <cstring>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/mutex.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::thread {

namespace {

constexpr std::uint32_t kThreadTag = pool_tag("Thre");

void set_name(Thread& thread, const char* name) { std::strncpy(thread.name, name, sizeof thread.name - 1); }

// Thread objects are kept until nobody refers to them.
std::int64_t drop_locked(Thread& thread) {
  if (thread.header.type != static_cast<std::uint8_t>(ObjectType::Thread) || (thread.references == 1 && thread.state != ThreadState::Terminated))
    bug_check(stop::ReferenceByPointer, {0, as_parameter(&thread), 0, 0},
              "A thread was dereferenced more often than it was referenced, or it is no thread.", "0x18");
  if (--thread.references != 0) return thread.references;
  List::remove(thread.all_link);
  sys().pool.free(&thread, kThreadTag);
  return 0;
}

}  // namespace

Thread* create(const char* name, ThreadRoutine* routine, void* context, std::uint8_t priority, ProcessorSet affinity) {
  auto* thread = static_cast<Thread*>(sys().pool.allocate(sizeof(Thread), kThreadTag, PoolType::NonPaged, Pool::kObject));
  if (thread == nullptr) return nullptr;
  std::memset(static_cast<void*>(thread), 0, sizeof *thread);
  thread->header.type = static_cast<std::uint8_t>(ObjectType::Thread);
  thread->header.waiters.initialize();
  thread->state = ThreadState::Initialized;
  thread->priority = thread->base_priority = priority;
  thread->quantum = thread->quantum_reset = sys().options.quantum_reset;
  thread->affinity = thread->user_affinity = affinity;
  thread->routine = routine;
  thread->context = context;
  thread->references = 2;  // the caller's, and the running thread's own
  timer::initialize(thread->timer, timer::Kind::Notification);
  thread->mutants.initialize();
  apc::initialize(thread->apcs);
  set_name(*thread, name);
  if (!Machine::make_stack(*thread)) {
    sys().pool.free(thread, kThreadTag);
    return nullptr;
  }
  const Irql previous = scheduler::acquire_dispatcher_lock();
  thread->id = ++sys().next_thread_id;
  const ProcessorSet allowed = affinity & active_processors();
  thread->ideal_processor = thread->processor =
      static_cast<std::uint16_t>(allowed.has(thread->id % sys().processor_count) ? thread->id % sys().processor_count : allowed.lowest());
  sys().threads.push_back(thread->all_link);
  Machine::observe(ThreadCreated{thread->id, routine, priority});
  scheduler::release_dispatcher_lock(previous);
  return thread;
}

void abandon(Thread& thread) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  thread.state = ThreadState::Terminated;
  Machine::free_stack(thread);
  drop_locked(thread);
  drop_locked(thread);
  scheduler::release_dispatcher_lock(previous);
}

void start(Thread& thread) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  Machine::observe(OrderReleased{&thread});
  scheduler::ready_locked(thread);
  scheduler::release_dispatcher_lock(previous);
}

namespace {

// What it may not leave behind, and who may not end.
void check_ending(Thread& self) {
  if (self.is_worker)
    bug_check(stop::ActiveExWorkerThreadTermination, {as_parameter(&self), 0, 0, 0}, "A work item routine has ended the system worker that runs it.",
              "0xE9");
  for (Link* link = self.mutants.first(); link != nullptr; link = self.mutants.after(link))
    if (const Mutant* mutant = owner_of<&Mutant::owned_link>(link); mutant->apc_disable != 0)
      bug_check(stop::ThreadTerminateHeldMutex, {as_parameter(&self), as_parameter(mutant), 0, 0},
                "A thread has ended while it owned a mutex, which nobody can ever acquire again.", "0x4000008A");
  if (combined_apc_disable(self) == 0) return;
  Link* pending = self.apcs.lists[static_cast<unsigned>(ApcMode::Kernel)].first();
  bug_check(stop::KernelApcPendingDuringExit,
            {pending != nullptr ? as_parameter(owner_of<&Apc::link>(pending)) : 0, combined_apc_disable(self), as_parameter(Machine::irql()), 0},
            "A thread has ended inside a critical or guarded region.", "0x20");
}

}  // namespace

std::uint32_t combined_apc_disable(const Thread& thread) {
  return std::uint32_t{static_cast<std::uint16_t>(thread.special_apc_disable)} << 16 | static_cast<std::uint16_t>(thread.kernel_apc_disable);
}

void end_current() {
  if (Machine::irql() > Irql::Passive) lower_here(Irql::Passive);
  check_ending(current());
  if (Thread& self = current(); self.at_end != nullptr) self.at_end(self.at_end_context);
  apc::run_down(current());
  scheduler::acquire_dispatcher_lock();
  Processor& self = Machine::here();
  Thread& thread = *self.current_thread;
  held_locks::audit_thread(thread);
  mutex::abandon_all_locked(thread);
  Machine::observe(ThreadEnded{thread.id});
  Machine::observe(OrderReleased{&thread});
  thread.state = ThreadState::Terminated;
  thread.header.signal_state = 1;
  wait::signal_locked(thread.header, 0);
  self.ended_thread = &thread;
  scheduler::block_current_locked(WaitReason::Ended);
  KDPC_INVARIANT("K.THREAD-1", !"an ended thread was switched to");
  __builtin_unreachable();
}

void finish_switch_locked() {
  Processor& self = Machine::here();
  apc::announce_locked(*self.current_thread);
  Thread* ended = self.ended_thread;
  if (ended == nullptr) return;
  self.ended_thread = nullptr;
  Machine::free_stack(*ended);
  drop_locked(*ended);
}

std::int64_t reference(Thread& thread) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int64_t count = ++thread.references;
  scheduler::release_dispatcher_lock(previous);
  return count;
}

std::int64_t release(Thread& thread) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int64_t left = drop_locked(thread);
  scheduler::release_dispatcher_lock(previous);
  return left;
}

Thread& current() {
  const Irql level = Machine::irql();
  if (level < Irql::Dispatch) Machine::set_irql(Irql::Dispatch);
  Thread& thread = *Machine::here().current_thread;
  if (level < Irql::Dispatch) lower_here(level);
  return thread;
}

std::uint8_t set_priority(Thread& thread, std::uint8_t priority) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::uint8_t old = thread.priority;
  scheduler::change_priority_locked(thread, priority);
  scheduler::release_dispatcher_lock(previous);
  return old;
}

std::int32_t set_base_priority(Thread& thread, std::int32_t increment) {
  constexpr std::int32_t kSaturated = 16;
  constexpr std::int32_t kLowest = 1, kHighest = kLowRealtimePriority - 1;
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old_base = thread.base_priority;
  const std::int32_t old = thread.saturation != 0 ? thread.saturation * kSaturated : old_base - kNormalPriority;
  thread.saturation = increment >= kSaturated ? std::int8_t{1} : increment <= -kSaturated ? std::int8_t{-1} : std::int8_t{0};
  const std::int32_t base =
      std::clamp(thread.saturation != 0 ? thread.saturation * kSaturated + kNormalPriority : increment + kNormalPriority, kLowest, kHighest);
  // What a boost has added stays, unless the base is to be all there is.
  const std::int32_t priority = thread.saturation != 0 ? base : std::clamp(thread.priority + base - old_base, kLowest, kHighest);
  thread.base_priority = static_cast<std::uint8_t>(base);
  scheduler::change_priority_locked(thread, static_cast<std::uint8_t>(priority));
  scheduler::release_dispatcher_lock(previous);
  return old;
}

std::uint16_t set_ideal_processor(Thread& thread, unsigned number) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::uint16_t old = thread.ideal_processor;
  if (active_processors().has(number)) thread.ideal_processor = static_cast<std::uint16_t>(number);
  scheduler::release_dispatcher_lock(previous);
  return old;
}

bool yield() {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool yielded = scheduler::yield_locked();
  scheduler::release_dispatcher_lock(previous);
  return yielded;
}

ProcessorSet set_affinity_of_current(ProcessorSet affinity) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  Thread& self = *Machine::here().current_thread;
  const ProcessorSet old = self.affinity;
  Machine::observe(AffinityChanged{self.id, affinity.mask()});
  scheduler::change_affinity_locked(self, affinity);
  scheduler::release_dispatcher_lock(previous);
  return old;
}

}  // namespace kdpc::thread
