#include "kernel/apc.h"

#include "kernel/bugcheck.h"
#include "kernel/ipi.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc::apc {

namespace {

constexpr std::uint8_t kApcType = 18;  // NT's ApcObject

// The tail of both numbers in bug check 0xC8 says which routine it was.
constexpr std::uint64_t kKernelRoutine = 0;
constexpr std::uint64_t kNormalRoutine = 1;

List& kernel_list(Thread& thread) { return thread.apcs.lists[static_cast<unsigned>(ApcMode::Kernel)]; }
List& user_list(Thread& thread) { return thread.apcs.lists[static_cast<unsigned>(ApcMode::User)]; }

Apc& apc_of(Link* link) { return *owner_of<&Apc::link>(link); }

bool is_normal_allowed(const Thread& thread) { return thread.kernel_apc_disable == 0 && !thread.apcs.normal_in_progress; }

// The first one that may run now. Special ones stand before all others.
Apc* deliverable_locked(Thread& thread) {
  Link* link = kernel_list(thread).first();
  if (link == nullptr || thread.special_apc_disable != 0) return nullptr;
  Apc& apc = apc_of(link);
  return apc.normal_routine == nullptr || is_normal_allowed(thread) ? &apc : nullptr;
}

void link_locked(Apc& apc) {
  Thread& thread = *apc.thread;
  apc.inserted = 1;
  if (apc.mode == ApcMode::User) {
    user_list(thread).push_back(apc.link);
    return;
  }
  List& list = kernel_list(thread);
  Link* position = nullptr;
  if (apc.normal_routine == nullptr)
    for (position = list.first(); position != nullptr && apc_of(position).normal_routine == nullptr;) position = list.after(position);
  if (position != nullptr) {
    list.insert_before(apc.link, *position);
  } else {
    list.push_back(apc.link);
  }
}

// K.APC-2
void make_pending_locked(Thread& thread, std::int32_t increment) {
  thread.apcs.kernel_pending = true;
  Processor& self = Machine::here();
  if (self.current_thread == &thread) {
    announce_locked(thread);
    return;
  }
  switch (thread.state) {
    case ThreadState::Running: ipi::request_apc(processor(thread.processor)); return;
    case ThreadState::Waiting:
      if (thread.wait_irql == Irql::Passive && deliverable_locked(thread) != nullptr) scheduler::unwait_locked(thread, increment, status::KernelApc);
      return;
    default: return;  // announced when it is switched to
  }
}

void check_level(const Apc& queued, Irql expected, std::uint64_t which, const Apc* object) {
  const Irql now = Machine::irql();
  if (now == expected) return;
  bug_check(stop::IrqlUnexpectedValue,
            {as_parameter(now) << 16 | as_parameter(expected) << 8 | which, as_parameter(queued.kernel_routine), as_parameter(object),
             as_parameter(queued.normal_routine)},
            "A routine of an APC returned at another IRQL than it was called at.", "IRQL-7");
}

// `object` may be freed by the first routine already.
void call_routines(Apc* object, const Apc& queued) {
  NormalRoutine* normal = queued.normal_routine;
  void *context = queued.context, *argument1 = queued.argument1, *argument2 = queued.argument2;
  Machine::observe(OrderAcquired{object});
  Machine::window();
  queued.kernel_routine(object, &normal, &context, &argument1, &argument2);
  check_level(queued, Irql::Apc, kKernelRoutine, object);
  if (queued.normal_routine == nullptr || normal == nullptr) return;
  Thread& self = thread::current();
  self.apcs.normal_in_progress = true;
  lower_here(Irql::Passive);
  normal(context, argument1, argument2);
  check_level(queued, Irql::Passive, kNormalRoutine, object);
  raise_here(Irql::Apc);
  self.apcs.normal_in_progress = false;
}

// The counters are the thread's own: nobody else looks at them while it runs.
bool leave(std::int16_t Thread::*count) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  Thread& self = *Machine::here().current_thread;
  const bool was_inside = self.*count < 0;
  if (was_inside) {
    self.*count = static_cast<std::int16_t>(self.*count + 1);
    if (deliverable_locked(self) != nullptr) make_pending_locked(self, 0);
  }
  scheduler::release_dispatcher_lock(previous);
  return was_inside;
}

void enter(std::int16_t Thread::*count) {
  Thread& self = thread::current();
  self.*count = static_cast<std::int16_t>(self.*count - 1);
}

}  // namespace

void initialize(ApcState& state) {
  for (List& list : state.lists) list.initialize();
}

void initialize(Apc& apc, Thread& thread, KernelRoutine* kernel, RundownRoutine* rundown, NormalRoutine* normal, ApcMode mode, void* context) {
  apc.type = kApcType;
  apc.size = sizeof(Apc);
  apc.thread = &thread;
  apc.kernel_routine = kernel;
  apc.rundown_routine = rundown;
  apc.normal_routine = normal;
  apc.mode = normal != nullptr ? mode : ApcMode::Kernel;
  apc.context = normal != nullptr ? context : nullptr;
  apc.state_index = 0;
  apc.inserted = 0;
}

bool insert(Apc& apc, void* argument1, void* argument2, std::int32_t increment) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  Thread& thread = *apc.thread;
  const bool accepted = apc.inserted == 0 && !thread.apcs.closed;
  if (accepted) {
    Machine::observe(OrderReleased{&apc});
    apc.argument1 = argument1;
    apc.argument2 = argument2;
    link_locked(apc);
    if (apc.mode == ApcMode::Kernel) {
      make_pending_locked(thread, increment);
    } else if (thread.state == ThreadState::Waiting && thread.wait_manner.user_mode && thread.wait_manner.alertable) {
      thread.apcs.user_pending = true;
      scheduler::unwait_locked(thread, increment, status::UserApc);
    }
  }
  scheduler::release_dispatcher_lock(previous);
  return accepted;
}

bool remove(Apc& apc) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_queued = apc.inserted != 0;
  if (was_queued) {
    List::remove(apc.link);
    apc.inserted = 0;
  }
  scheduler::release_dispatcher_lock(previous);
  return was_queued;
}

void deliver_here() {
  for (;;) {
    const Irql previous = scheduler::acquire_dispatcher_lock();
    Thread& self = *Machine::here().current_thread;
    self.apcs.kernel_pending = false;
    Apc* apc = deliverable_locked(self);
    if (apc == nullptr) {
      scheduler::release_dispatcher_lock(previous);
      return;
    }
    List::remove(apc->link);
    apc->inserted = 0;  // K.APC-1: from here on the object is its owner's again
    const Apc queued = *apc;
    scheduler::release_dispatcher_lock(previous);
    call_routines(apc, queued);
  }
}

void enter_critical_region() { enter(&Thread::kernel_apc_disable); }
bool leave_critical_region() { return leave(&Thread::kernel_apc_disable); }
void enter_guarded_region() { enter(&Thread::special_apc_disable); }
bool leave_guarded_region() { return leave(&Thread::special_apc_disable); }

void check_normal_off(std::uint64_t subcode, const void* lock, const char* sentence, const char* rule) {
  if (sys().options.irql_checks != Options::IrqlChecks::Strict || Machine::irql() >= Irql::Apc) return;
  if (thread::combined_apc_disable(thread::current()) != 0) return;
  bug_check(stop::DriverVerifierDetectedViolation, {subcode, as_parameter(Machine::irql()), 0, as_parameter(lock)}, sentence, rule);
}

bool has_deliverable_locked(Thread& thread) { return deliverable_locked(thread) != nullptr; }

void disable_normal_locked(Thread& thread, unsigned count) {
  thread.kernel_apc_disable = static_cast<std::int16_t>(thread.kernel_apc_disable - static_cast<int>(count));
}

void enable_normal_locked(Thread& thread, unsigned count) {
  if (count == 0) return;
  thread.kernel_apc_disable = static_cast<std::int16_t>(thread.kernel_apc_disable + static_cast<int>(count));
  if (deliverable_locked(thread) != nullptr) make_pending_locked(thread, 0);
}

void announce_locked(const Thread& thread) {
  if (thread.apcs.kernel_pending && thread.special_apc_disable == 0) Machine::request_here(kApcRequest);
}

void run_down(Thread& thread) {
  for (;;) {
    const Irql previous = scheduler::acquire_dispatcher_lock();
    thread.apcs.closed = true;
    Link* link = user_list(thread).pop_front();
    Apc* apc = link != nullptr ? &apc_of(link) : nullptr;
    if (apc != nullptr) apc->inserted = 0;
    scheduler::release_dispatcher_lock(previous);
    if (apc == nullptr) return;
    if (apc->rundown_routine != nullptr) apc->rundown_routine(apc);
  }
}

}  // namespace kdpc::apc
