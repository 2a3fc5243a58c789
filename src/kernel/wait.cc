#include "kernel/wait.h"

#include "kernel/bugcheck.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "kernel/timer.h"
#include "this_machine.h"

namespace kdpc::wait {

namespace {

ObjectType type_of(const DispatcherHeader& object) { return static_cast<ObjectType>(object.type); }

// One satisfied wait consumes what the type says.
void consume(DispatcherHeader& object) {
  switch (type_of(object)) {
    case ObjectType::SynchronizationEvent:
    case ObjectType::SynchronizationTimer: object.signal_state = 0; return;
    case ObjectType::Semaphore: object.signal_state = object.signal_state - 1; return;
    default: return;
  }
}

constexpr std::uint64_t kAssertionFailure = 0xC0000420;  // STATUS_ASSERTION_FAILURE

// WAIT-3: a blocking wait is refused at entry, because at Dispatch it would hang the processor or switch from a DPC.
[[noreturn]] void refuse_blocking(Irql level, const DispatcherHeader& object, const std::int64_t* timeout) {
  const Processor& self = Machine::here();
  if (self.dpc_routine_active) {
    const Thread* next = self.next_thread != nullptr ? self.next_thread : self.idle_thread;
    bug_check(stop::AttemptedSwitchFromDpc, {as_parameter(self.current_thread), as_parameter(next), self.current_thread->machine.stack_high, 0},
              "A DPC routine waits with a timeout that is not zero; NT itself stops only if the wait would really block.", "WAIT-3");
  }
  const std::uint64_t subcode = level > Irql::Dispatch ? 0x120 : timeout == nullptr ? 0x121 : 0x122;
  bug_check(stop::DriverVerifierDetectedViolation, {subcode, as_parameter(level), as_parameter(&object), as_parameter(timeout)},
            "A wait at DISPATCH_LEVEL or above with a timeout that is not zero; NT itself would not always stop here.", "WAIT-3");
}

void check_level(const DispatcherHeader& object, const std::int64_t* timeout) {
  const Irql level = Machine::irql();
  if (level < Irql::Dispatch || (timeout != nullptr && *timeout == 0 && level == Irql::Dispatch)) return;
  const Options& options = sys().options;
  if (options.wait_check == Options::WaitCheck::Late) return;
  switch (options.irql_checks) {
    case Options::IrqlChecks::Strict: refuse_blocking(level, object, timeout);
    case Options::IrqlChecks::Checked:
      bug_check(stop::KmodeExceptionNotHandled, {kAssertionFailure, as_parameter(&object), as_parameter(timeout), as_parameter(level)},
                "A checked build asserts that a thread at DISPATCH_LEVEL or above only polls; nobody handles the break.", "WAIT-3");
    case Options::IrqlChecks::Free: return;
  }
}

void enqueue(Thread& thread, WaitBlock& block, DispatcherHeader& object, std::int32_t result) {
  block.thread = &thread;
  block.object = &object;
  block.result = result;
  object.waiters.push_back(block.link);
}

// An absolute time that has come already (TIM-2).
bool is_past(std::int64_t timeout) { return timeout >= 0 && timeout <= static_cast<std::int64_t>(timer::system_time()); }

void check_object(const DispatcherHeader& object) {
  switch (type_of(object)) {
    case ObjectType::NotificationEvent:
    case ObjectType::SynchronizationEvent:
    case ObjectType::Semaphore:
    case ObjectType::Thread:
    case ObjectType::NotificationTimer:
    case ObjectType::SynchronizationTimer: return;
  }
  constexpr std::uint32_t kObjectTypeMismatch = 0xC0000024;
  bug_check(stop::KmodeExceptionNotHandled, {kObjectTypeMismatch, as_parameter(&object), object.type, 0},
            "A wait was asked for on something that is no dispatcher object, or was never initialised.", "WAIT-4");
}

// With the dispatcher lock: sleeps until the object, if any, or the time limit ends it.
std::int32_t block_locked(DispatcherHeader* object, const std::uint64_t* due_time, WaitReason why) {
  Thread& self = *Machine::here().current_thread;
  self.waiting_for = object != nullptr ? object : &self.timer.header;
  if (object != nullptr) enqueue(self, self.wait_block, *object, status::Success);
  if (due_time != nullptr) {
    self.timer.header.signal_state = 0;
    enqueue(self, self.timer_block, self.timer.header, object != nullptr ? status::Timeout : status::Success);
    timer::insert_locked(self.timer, *due_time);
  }
  Machine::observe(WaitBegan{self.id, self.waiting_for});
  self.state = ThreadState::Waiting;
  scheduler::block_current_locked(why);
  return self.wait_result;
}

std::uint64_t relative(std::uint64_t base, std::int64_t timeout) {
  if (timeout < 0) return base + (0 - static_cast<std::uint64_t>(timeout));
  const std::int64_t until = timeout - static_cast<std::int64_t>(timer::system_time());
  return until > 0 ? timer::interrupt_time() + static_cast<std::uint64_t>(until) : timer::interrupt_time();
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
  while (object.signal_state > 0) {
    Link* link = object.waiters.first();
    if (link == nullptr) return;
    const WaitBlock& block = *owner_of<&WaitBlock::link>(link);
    consume(object);
    scheduler::unwait_locked(*block.thread, increment, block.result);
  }
}

std::int32_t set_event(EventObject& event, std::int32_t increment) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = event.header.signal_state;
  Machine::observe(OrderReleased{&event});
  event.header.signal_state = 1;
  signal_locked(event.header, increment);
  scheduler::release_dispatcher_lock(previous);
  return old;
}

std::int32_t reset_event(EventObject& event) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = event.header.signal_state;
  event.header.signal_state = 0;
  scheduler::release_dispatcher_lock(previous);
  return old;
}

std::int32_t pulse_event(EventObject& event, std::int32_t increment) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = event.header.signal_state;
  Machine::observe(OrderReleased{&event});
  event.header.signal_state = 1;
  signal_locked(event.header, increment);
  event.header.signal_state = 0;
  scheduler::release_dispatcher_lock(previous);
  return old;
}

void initialize_semaphore(Semaphore& semaphore, std::int32_t count, std::int32_t limit) {
  semaphore.header.type = static_cast<std::uint8_t>(ObjectType::Semaphore);
  semaphore.header.size = sizeof(Semaphore) / sizeof(std::uint32_t);
  semaphore.header.signal_state = count;
  semaphore.header.waiters.initialize();
  semaphore.limit = limit;
}

std::int32_t release_semaphore(Semaphore& semaphore, std::int32_t adjustment, std::int32_t increment, bool& ok) {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const std::int32_t old = semaphore.header.signal_state;
  ok = adjustment > 0 && static_cast<std::int64_t>(old) + adjustment <= semaphore.limit;
  if (ok) {
    Machine::observe(OrderReleased{&semaphore});
    semaphore.header.signal_state = old + adjustment;
    signal_locked(semaphore.header, increment);
  }
  scheduler::release_dispatcher_lock(previous);
  return old;
}

std::int32_t for_object(DispatcherHeader& object, const std::int64_t* timeout) {
  check_object(object);
  check_level(object, timeout);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  std::int32_t result = status::Success;
  if (object.signal_state > 0) {
    consume(object);
  } else if (timeout != nullptr && is_past(*timeout)) {
    result = status::Timeout;
  } else {
    const std::uint64_t due_time = timeout != nullptr ? relative(timer::interrupt_time(), *timeout) : 0;
    result = block_locked(&object, timeout != nullptr ? &due_time : nullptr, WaitReason::Executive);
  }
  if (result == status::Success) Machine::observe(OrderAcquired{&object});
  scheduler::release_dispatcher_lock(previous);
  return result;
}

std::int32_t delay(std::int64_t interval) {
  const std::int64_t blocking = -1;
  check_level(thread::current().timer.header, &blocking);
  if (is_past(interval)) return status::Success;
  const Irql previous = scheduler::acquire_dispatcher_lock();
  // From the exact time, not from the last tick: expiry at a tick is then never early (TIM-6).
  const std::uint64_t due_time = relative(timer::precise_interrupt_time() + 1, interval);
  const std::int32_t result = block_locked(nullptr, &due_time, WaitReason::Delay);
  scheduler::release_dispatcher_lock(previous);
  return result;
}

}  // namespace kdpc::wait
