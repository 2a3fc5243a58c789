#include "kernel/push_lock.h"

#include "kernel/apc.h"
#include "kernel/bugcheck.h"
#include "kernel/pageable.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

// On the stack of the thread that waits.
struct alignas(16) PushWaiter {
  PushWaiter* next;
  Thread* thread;
  bool shared;
  EventObject granted;
  // Of the first one only: the lock's state while there is a queue.
  Thread* owner;
  std::uint64_t readers;
};

namespace {

bool is_checked() { return sys().options.irql_checks != Options::IrqlChecks::Free; }

void check_before_acquiring(const void* lock) {
  apc::check_normal_off(0xEA, lock, "A push lock was acquired while APCs are enabled: KeEnterCriticalRegion must be called before.", "LCK-3");
}

[[noreturn]] void refuse(std::uint64_t subcode, const void* lock, const Thread* owner, const Thread* self, const char* sentence) {
  bug_check(stop::DriverVerifierDetectedViolation, {subcode, as_parameter(lock), as_parameter(owner), as_parameter(self)}, sentence, "LCK-3");
}

}  // namespace

void PushLock::initialize() {
  word_ = 0;
  Machine::observe(LockInitialized{this, LockKind::Push});
}

PushLock::State PushLock::read_locked() const {
  const std::uintptr_t word = word_;
  const std::uintptr_t rest = word & ~kBits;
  State state;
  const bool is_address = rest >= 4096 && (rest >> 47) == 0;
  if (word == 0) return state;
  if ((word & kBits) == kRead && rest != 0) {
    state.readers = rest / (kBits + 1);
  } else if ((word & kBits) == kOwned && is_address) {
    state.owner = reinterpret_cast<Thread*>(rest);
  } else if ((word & kBits) == kQueued && is_address) {
    state.first = reinterpret_cast<PushWaiter*>(rest);
    state.owner = state.first->owner;
    state.readers = state.first->readers;
  } else {
    refuse(0x1002, this, nullptr, nullptr, "A push lock was used that ExInitializePushLock never initialised, or that something has overwritten.");
  }
  return state;
}

void PushLock::write_locked(const State& state) {
  if (state.first != nullptr) {
    state.first->owner = state.owner;
    state.first->readers = state.readers;
    word_ = reinterpret_cast<std::uintptr_t>(state.first) | kQueued;
  } else if (state.owner != nullptr) {
    word_ = reinterpret_cast<std::uintptr_t>(state.owner) | kOwned;
  } else {
    word_ = state.readers != 0 ? state.readers * (kBits + 1) | kRead : 0;
  }
}

bool PushLock::take_locked(bool shared, Thread& self) {
  State state = read_locked();
  if (!state.allows(shared)) return false;
  if (shared) {
    ++state.readers;
  } else {
    state.owner = &self;
  }
  write_locked(state);
  return true;
}

void PushLock::acquire(bool shared) {
  check_before_acquiring(this);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const MayTouchPageable the_lock(previous);
  Thread& self = *Machine::here().current_thread;
  const bool taken = take_locked(shared, self);
  if (!taken && is_checked() && read_locked().owner == &self)
    refuse(0x1000, this, nullptr, nullptr, "A thread tried to acquire a push lock that it already holds exclusive.");
  if (taken) {
    Machine::observe(LockAcquired{this, LockKind::Push, false, LockForm::Kernel, shared});
    scheduler::release_dispatcher_lock(previous);
    return;
  }
  PushWaiter waiter{nullptr, &self, shared, {}, nullptr, 0};
  wait::initialize_event(waiter.granted, ObjectType::SynchronizationEvent, false);
  State state = read_locked();
  PushWaiter** end = &state.first;
  while (*end != nullptr) end = &(*end)->next;
  *end = &waiter;
  write_locked(state);
  scheduler::release_dispatcher_lock(previous);
  wait::for_object(waiter.granted.header, nullptr);
  Machine::observe(LockAcquired{this, LockKind::Push, true, LockForm::Kernel, shared});
}

bool PushLock::try_acquire(bool shared) {
  check_before_acquiring(this);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const MayTouchPageable the_lock(previous);
  const bool taken = take_locked(shared, *Machine::here().current_thread);
  if (taken) Machine::observe(LockAcquired{this, LockKind::Push, false, LockForm::Try, shared});
  scheduler::release_dispatcher_lock(previous);
  return taken;
}

// Whoever stands first gets the free lock; a reader brings those behind him along, up to the next writer.
void PushLock::grant_locked(State state) {
  PushWaiter* granted = state.first;
  if (granted != nullptr && state.owner == nullptr && state.readers == 0) {
    PushWaiter* last = granted;
    if (granted->shared) {
      for (state.readers = 1; last->next != nullptr && last->next->shared; last = last->next) ++state.readers;
    } else {
      state.owner = granted->thread;
    }
    state.first = last->next;
    last->next = nullptr;
  } else {
    granted = nullptr;
  }
  write_locked(state);
  while (granted != nullptr) {
    PushWaiter* next = granted->next;
    granted->granted.header.signal_state = 1;
    wait::signal_locked(granted->granted.header, 0);
    granted = next;
  }
}

void PushLock::release(bool shared) {
  apc::check_normal_off(0xEB, this, "A push lock was released while APCs are enabled: KeLeaveCriticalRegion must be called after.", "LCK-3");
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const MayTouchPageable the_lock(previous);
  const Thread* self = Machine::here().current_thread;
  State state = read_locked();
  if (state.owner == nullptr && state.readers == 0) refuse(0x1007, this, nullptr, nullptr, "A push lock was released that nobody holds.");
  if (shared != (state.readers != 0)) refuse(0x1009, this, nullptr, nullptr, "A push lock was released in another way than it was acquired.");
  if (!shared && state.owner != self && is_checked())
    refuse(0x1004, this, state.owner, self, "A push lock was released by another thread than the one that holds it.");
  Machine::observe(LockReleased{this, LockKind::Push, LockForm::Kernel, shared});
  if (shared) {
    --state.readers;
  } else {
    state.owner = nullptr;
  }
  grant_locked(state);
  scheduler::release_dispatcher_lock(previous);
}

bool PushLock::is_held_exclusive() const {
  const Irql previous = scheduler::acquire_dispatcher_lock();
  const MayTouchPageable the_lock(previous);
  const bool exclusive = read_locked().owner != nullptr;
  scheduler::release_dispatcher_lock(previous);
  return exclusive;
}

}  // namespace kdpc
