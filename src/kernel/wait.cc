#include "kernel/wait.h"

#include <optional>
#include <span>

#include "kernel/apc.h"
#include "kernel/bugcheck.h"
#include "kernel/mutex.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "kernel/timer.h"
#include "this_machine.h"

namespace kdpc::wait {

namespace {

ObjectType type_of(const DispatcherHeader& object) { return static_cast<ObjectType>(object.type); }
Mutant& mutant_of(DispatcherHeader& object) { return reinterpret_cast<Mutant&>(object); }

bool is_signalled_for(DispatcherHeader& object, const Thread& thread) {
  return type_of(object) == ObjectType::Mutant ? mutex::is_free_for(mutant_of(object), thread) : object.signal_state > 0;
}

// One satisfied wait consumes what the type says. True: it was an abandoned mutex.
bool consume(DispatcherHeader& object, Thread& thread) {
  switch (type_of(object)) {
    case ObjectType::SynchronizationEvent:
    case ObjectType::SynchronizationTimer: object.signal_state = 0; return false;
    case ObjectType::Semaphore: object.signal_state = object.signal_state - 1; return false;
    case ObjectType::Mutant: return mutex::take_locked(mutant_of(object), thread);
    default: return false;
  }
}

constexpr std::uint64_t kAssertionFailure = 0xC0000420;     // STATUS_ASSERTION_FAILURE
constexpr std::uint64_t kObjectTypeMismatch = 0xC0000024;   // STATUS_OBJECT_TYPE_MISMATCH
constexpr std::uint64_t kMutantLimitExceeded = 0xC0000191;  // STATUS_MUTANT_LIMIT_EXCEEDED

// WAIT-3: a blocking wait is refused at entry, because at Dispatch it would hang the processor or switch from a DPC.
[[noreturn]] void refuse_blocking(Irql level, const void* objects, const std::int64_t* timeout) {
  const Processor& self = Machine::here();
  if (self.dpc_routine_active) {
    const Thread* next = self.next_thread != nullptr ? self.next_thread : self.idle_thread;
    bug_check(stop::AttemptedSwitchFromDpc, {as_parameter(self.current_thread), as_parameter(next), self.current_thread->machine.stack_high, 0},
              "A DPC routine waits with a timeout that is not zero; NT itself stops only if the wait would really block.", "WAIT-3");
  }
  const std::uint64_t subcode = level > Irql::Dispatch ? 0x120 : timeout == nullptr ? 0x121 : 0x122;
  bug_check(stop::DriverVerifierDetectedViolation, {subcode, as_parameter(level), as_parameter(objects), as_parameter(timeout)},
            "A wait at DISPATCH_LEVEL or above with a timeout that is not zero; NT itself would not always stop here.", "WAIT-3");
}

// The level at which the thread waits: after a signal that announced this wait, the one before it (WAIT-1).
Irql level_of_wait() {
  const Irql level = Machine::irql();
  if (level != Irql::Dispatch) return level;
  const Processor& self = Machine::here();
  return self.current_thread->wait_follows && !self.dpc_routine_active ? self.current_thread->wait_irql : level;
}

void check_level(const void* objects, const std::int64_t* timeout) {
  const Irql level = level_of_wait();
  if (level < Irql::Dispatch || (timeout != nullptr && *timeout == 0 && level == Irql::Dispatch)) return;
  const Options& options = sys().options;
  // Above Synch there is no late: the dispatcher lock itself is out of reach.
  if (options.wait_check == Options::WaitCheck::Late && level <= Irql::Synch) return;
  switch (options.irql_checks) {
    case Options::IrqlChecks::Strict: refuse_blocking(level, objects, timeout);
    case Options::IrqlChecks::Checked:
      bug_check(stop::KmodeExceptionNotHandled, {kAssertionFailure, as_parameter(objects), as_parameter(timeout), as_parameter(level)},
                "A checked build asserts that a thread at DISPATCH_LEVEL or above only polls; nobody handles the break.", "WAIT-3");
    case Options::IrqlChecks::Free: return;
  }
}

void check_object(const DispatcherHeader& object) {
  switch (type_of(object)) {
    case ObjectType::NotificationEvent:
    case ObjectType::SynchronizationEvent:
    case ObjectType::Mutant:
    case ObjectType::Semaphore:
    case ObjectType::Thread:
    case ObjectType::NotificationTimer:
    case ObjectType::SynchronizationTimer: return;
  }
  bug_check(stop::KmodeExceptionNotHandled, {kObjectTypeMismatch, as_parameter(&object), object.type, 0},
            "A wait was asked for on something that is no dispatcher object, or was never initialised.", "WAIT-4");
}

void check_count(std::uint32_t count, const WaitBlock* blocks) {
  if (count == 0)
    bug_check(stop::KmodeExceptionNotHandled, {kAssertionFailure, 0, 0, 0}, "A wait for several objects was asked for with none.", "WAIT-4");
  if (count > (blocks == nullptr ? kThreadWaitObjects : kMaximumWaitObjects))
    bug_check(stop::MaximumWaitObjectsExceeded, {0, 0, 0, 0}, "A wait for more objects than 64, or than 3 without an array of wait blocks.",
              "WAIT-4");
}

// What is waited for, and how. With no object it is a delay.
struct Request {
  DispatcherHeader* const* objects;
  std::uint32_t count;
  WaitKind kind;
  WaitBlock* blocks;
  bool has_limit;
  std::uint64_t due_time;  // interrupt time; if there is a limit
  Manner manner;
  WaitReason why;
  bool is_absolute = false;  // the limit: follows changes of the system time (TIM-2)
};

bool are_all_signalled_for(const Thread& thread, DispatcherHeader* const* objects, std::uint32_t count) {
  for (std::uint32_t index = 0; index < count; ++index)
    if (!is_signalled_for(*objects[index], thread)) return false;
  return true;
}

// NT raises it before anything is taken.
void check_mutex_limit(const Thread& self, DispatcherHeader& object) {
  if (type_of(object) != ObjectType::Mutant || !mutex::is_at_limit(mutant_of(object), self)) return;
  bug_check(stop::KmodeExceptionNotHandled, {kMutantLimitExceeded, as_parameter(&object), as_parameter(&self), 0},
            "A mutex was acquired more often than its count can tell; NT raises STATUS_MUTANT_LIMIT_EXCEEDED.", "WAIT-4");
}

// That these were not signalled has decided what becomes of a wait that does not sleep.
void observe_passed_over(const Request& request, std::uint32_t count) {
  if (!Machine::observes()) return;
  for (std::uint32_t index = 0; index < count; ++index) Machine::observe(KernelRead{request.objects[index]});
}

// Takes what is wanted if it is all there.
std::optional<std::int32_t> satisfy_locked(Thread& self, const Request& request) {
  if (request.count == 0) return std::nullopt;
  if (request.kind == WaitKind::All) {
    if (!are_all_signalled_for(self, request.objects, request.count)) return std::nullopt;
    bool abandoned = false;
    for (std::uint32_t index = 0; index < request.count; ++index) {
      check_mutex_limit(self, *request.objects[index]);
      if (consume(*request.objects[index], self)) abandoned = true;
    }
    return abandoned ? status::Abandoned : status::Success;
  }
  for (std::uint32_t index = 0; index < request.count; ++index) {
    DispatcherHeader& object = *request.objects[index];
    if (!is_signalled_for(object, self)) continue;
    check_mutex_limit(self, object);
    observe_passed_over(request, index);
    const auto which = static_cast<std::int32_t>(index);
    return consume(object, self) ? status::Abandoned | which : which;
  }
  return std::nullopt;
}

// The same for a thread that sleeps, when the object of one of its blocks is signalled.
std::optional<std::int32_t> satisfy_block_locked(const WaitBlock& block) {
  Thread& thread = *block.thread;
  if (block.kind == WaitKind::Any) return consume(*block.object, thread) ? status::Abandoned | block.key : block.key;
  const std::span blocks(thread.wait_blocks, thread.wait_count);
  for (const WaitBlock& one : blocks)
    if (!is_signalled_for(*one.object, thread)) return std::nullopt;
  bool abandoned = false;
  for (const WaitBlock& one : blocks)
    if (consume(*one.object, thread)) abandoned = true;
  return abandoned ? status::Abandoned : status::Success;
}

// Why this thread is not to sleep although nothing is signalled, if so.
std::optional<std::int32_t> refuse_sleep_locked(Thread& self, const Request& request) {
  const Manner manner = request.manner;
  if (manner.alertable) {
    if (bool& alerted = self.alerted[manner.user_mode]; alerted) {
      alerted = false;
      return status::Alerted;
    }
    if (manner.user_mode && !self.apcs.lists[static_cast<unsigned>(ApcMode::User)].empty()) self.apcs.user_pending = true;
    if (bool& alerted = self.alerted[0]; alerted && !self.apcs.user_pending) {
      alerted = false;
      return status::Alerted;
    }
  }
  if (manner.user_mode && self.apcs.user_pending) return status::UserApc;
  if (request.has_limit && request.due_time <= timer::interrupt_time()) return request.count == 0 ? status::Success : status::Timeout;
  return std::nullopt;
}

void enqueue(WaitBlock& block, Thread& thread, DispatcherHeader& object, WaitKind kind, std::int32_t key) {
  block.kind = kind;
  block.key = static_cast<std::uint16_t>(key);
  block.thread = &thread;
  block.object = &object;
  object.waiters.push_back(block.link);
}

// Sleeps until the objects, the time limit, an alert or an APC end it.
std::int32_t block_locked(Thread& self, const Request& request, Irql previous) {
  self.waiting_for = request.count != 0 ? request.objects[0] : &self.timer.header;
  self.wait_manner = request.manner;
  self.wait_irql = previous;
  self.wait_blocks = request.blocks;
  self.wait_count = request.count;
  for (std::uint32_t index = 0; index < request.count; ++index)
    enqueue(request.blocks[index], self, *request.objects[index], request.kind, static_cast<std::int32_t>(index));
  if (request.has_limit) {
    self.timer.header.signal_state = 0;
    self.timer.header.second = request.is_absolute ? Timer::kAbsolute : 0;
    enqueue(self.timer_block, self, self.timer.header, WaitKind::Any, request.count != 0 ? status::Timeout : status::Success);
    timer::insert_locked(self.timer, request.due_time);
  }
  if (request.count == 0) Machine::observe(WaitBegan{self.id, self.waiting_for});
  for (std::uint32_t index = 0; index < request.count; ++index) Machine::observe(WaitBegan{self.id, request.objects[index]});
  self.state = ThreadState::Waiting;
  scheduler::block_current_locked(request.why);
  return self.wait_result;
}

void observe_order(const Request& request, std::int32_t result) {
  constexpr std::int32_t kIndexBits = kMaximumWaitObjects - 1;
  if ((result & ~(status::Abandoned | kIndexBits)) != 0) return;
  if (request.kind == WaitKind::Any && request.count != 0) Machine::observe(OrderAcquired{request.objects[result & kIndexBits]});
  if (request.kind == WaitKind::All)
    for (std::uint32_t index = 0; index < request.count; ++index) Machine::observe(OrderAcquired{request.objects[index]});
}

// The level to go back to, which a signal may have left for this wait.
Irql begin() {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  Thread& self = *Machine::here().current_thread;
  if (previous != Irql::Dispatch || !self.wait_follows || Machine::here().dpc_routine_active) return previous;
  self.wait_follows = false;
  return self.wait_irql;
}

std::int32_t perform_locked(const Request& request, Irql previous) {
  for (;;) {
    Thread& self = *Machine::here().current_thread;
    // An APC that is due comes first: asleep, the thread could not be asked again.
    const bool apc_first = previous < Irql::Apc && apc::has_deliverable_locked(self);
    std::optional<std::int32_t> result;
    if (!apc_first) result = satisfy_locked(self, request);
    if (!apc_first && !result) {
      result = refuse_sleep_locked(self, request);
      if (result) observe_passed_over(request, request.count);
    }
    if (!apc_first && !result) result = block_locked(self, request, previous);
    if (!result || *result == status::KernelApc) {
      apc::announce_locked(self);
      scheduler::release_dispatcher_lock(previous);  // delivers
      scheduler::acquire_dispatcher_lock();
      continue;
    }
    observe_order(request, *result);
    scheduler::release_dispatcher_lock(previous);
    return *result;
  }
}

std::uint64_t relative(std::uint64_t base, std::int64_t timeout) {
  if (timeout < 0) return base + (0 - static_cast<std::uint64_t>(timeout));
  const std::int64_t until = timeout - static_cast<std::int64_t>(timer::system_time());
  return until > 0 ? timer::interrupt_time() + static_cast<std::uint64_t>(until) : timer::interrupt_time();
}

std::int32_t for_checked(DispatcherHeader* const* objects, std::uint32_t count, WaitKind kind, const std::int64_t* timeout, WaitBlock* blocks,
                         Manner manner) {
  const bool has_limit = timeout != nullptr;
  const std::int64_t limit = has_limit ? *timeout : 0;  // before the level is raised: it may be pageable
  const Irql previous = begin();
  if (blocks == nullptr) blocks = Machine::here().current_thread->own_blocks;
  const std::uint64_t due_time = has_limit ? relative(timer::interrupt_time(), limit) : 0;
  return perform_locked({objects, count, kind, blocks, has_limit, due_time, manner, WaitReason::Executive, has_limit && limit >= 0}, previous);
}

}  // namespace

void initialize_event(EventObject& event, ObjectType type, bool signalled) {
  event.header.type = static_cast<std::uint8_t>(type);
  event.header.size = sizeof(EventObject) / sizeof(std::uint32_t);
  event.header.signal_state = signalled ? 1 : 0;
  event.header.waiters.initialize();
}

void signal_locked(DispatcherHeader& object, std::int32_t increment) {
  Machine::observe(ObjectSignalled{&object, object.type, object.signal_state});
  Link* link = object.waiters.first();
  while (link != nullptr && object.signal_state > 0) {
    const WaitBlock& block = *owner_of<&WaitBlock::link>(link);
    if (block.object != &object)
      bug_check(stop::KernelSecurityCheckFailure, {3, as_parameter(&object), 0, 0},
                "An object was signalled whose list of waiters is corrupt: something has overwritten it, or it is no such object.", "0x139");
    if (const std::optional<std::int32_t> result = satisfy_block_locked(block)) {
      scheduler::unwait_locked(*block.thread, increment, *result);
      link = object.waiters.first();  // several blocks may have gone
    } else {
      link = object.waiters.after(link);
    }
  }
}

void end_locked(Thread& thread, std::int32_t result) {
  if (thread.wait_count == 0) Machine::observe(WaitEnded{thread.id, thread.waiting_for, result});
  for (std::uint32_t index = 0; index < thread.wait_count; ++index) {
    Machine::observe(WaitEnded{thread.id, thread.wait_blocks[index].object, result});
    List::remove(thread.wait_blocks[index].link);
  }
  thread.wait_count = 0;
  if (thread.timer_block.object == nullptr) return;
  List::remove(thread.timer_block.link);
  if (thread.timer.header.inserted != 0) timer::remove_locked(thread.timer);
  thread.timer_block.object = nullptr;
}

void leave_locked(Irql previous, bool wait_follows) {
  if (!wait_follows || previous > Irql::Apc) {
    scheduler::release_dispatcher_lock(previous);
    return;
  }
  Thread& self = *Machine::here().current_thread;
  self.wait_follows = true;
  self.wait_irql = previous;
  scheduler::release_dispatcher_lock(Irql::Dispatch);
}

std::int32_t set_event(EventObject& event, std::int32_t increment, bool wait_follows) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = event.header.signal_state;
  Machine::observe(OrderReleased{&event});
  event.header.signal_state = 1;
  signal_locked(event.header, increment);
  leave_locked(previous, wait_follows);
  return old;
}

std::int32_t reset_event(EventObject& event) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = event.header.signal_state;
  event.header.signal_state = 0;
  scheduler::release_dispatcher_lock(previous);
  return old;
}

std::int32_t pulse_event(EventObject& event, std::int32_t increment, bool wait_follows) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = event.header.signal_state;
  Machine::observe(OrderReleased{&event});
  event.header.signal_state = 1;
  signal_locked(event.header, increment);
  event.header.signal_state = 0;
  leave_locked(previous, wait_follows);
  return old;
}

void initialize_semaphore(Semaphore& semaphore, std::int32_t count, std::int32_t limit) {
  semaphore.header.type = static_cast<std::uint8_t>(ObjectType::Semaphore);
  semaphore.header.size = sizeof(Semaphore) / sizeof(std::uint32_t);
  semaphore.header.signal_state = count;
  semaphore.header.waiters.initialize();
  semaphore.limit = limit;
}

std::int32_t release_semaphore(Semaphore& semaphore, std::int32_t adjustment, std::int32_t increment, bool& ok, bool wait_follows) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = semaphore.header.signal_state;
  ok = adjustment > 0 && static_cast<std::int64_t>(old) + adjustment <= semaphore.limit;
  if (ok) {
    Machine::observe(OrderReleased{&semaphore});
    semaphore.header.signal_state = old + adjustment;
    signal_locked(semaphore.header, increment);
  }
  leave_locked(previous, ok && wait_follows);
  return old;
}

std::int32_t for_object(DispatcherHeader& object, const std::int64_t* timeout, Manner manner) {
  check_object(object);
  check_level(&object, timeout);
  DispatcherHeader* const only = &object;
  return for_checked(&only, 1, WaitKind::Any, timeout, nullptr, manner);
}

std::int32_t for_objects(DispatcherHeader* const* objects, std::uint32_t count, WaitKind kind, const std::int64_t* timeout, WaitBlock* blocks,
                         Manner manner) {
  check_count(count, blocks);
  for (std::uint32_t index = 0; index < count; ++index) check_object(*objects[index]);
  check_level(objects, timeout);
  return for_checked(objects, count, kind, timeout, blocks, manner);
}

std::int32_t delay(std::int64_t interval, Manner manner) {
  const std::int64_t blocking = -1;
  check_level(&thread::current().timer.header, &blocking);
  const Irql previous = begin();
  if (interval == 0) scheduler::yield_locked();
  // From the exact time, not from the last tick: expiry at a tick is then never early (TIM-6).
  const bool exact = sys().options.delay == Options::Delay::Exact;
  const std::uint64_t due_time = relative(exact ? timer::precise_interrupt_time() + 1 : timer::interrupt_time(), interval);
  return perform_locked({nullptr, 0, WaitKind::Any, nullptr, true, due_time, manner, WaitReason::Delay, interval >= 0}, previous);
}

bool alert(Thread& thread, bool user_mode) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const bool was_alerted = thread.alerted[user_mode];
  // An alert for the user does not end a wait of the kernel's.
  const bool hears = thread.state == ThreadState::Waiting && thread.wait_manner.alertable && (thread.wait_manner.user_mode || !user_mode);
  constexpr std::int32_t kAlertIncrement = 2;
  if (!was_alerted && hears) {
    scheduler::unwait_locked(thread, kAlertIncrement, status::Alerted);
  } else {
    thread.alerted[user_mode] = true;
  }
  scheduler::release_dispatcher_lock(previous);
  return was_alerted;
}

}  // namespace kdpc::wait
