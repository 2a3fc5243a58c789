#include "kernel/queued_lock.h"

#include <atomic>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

bool is_checked() { return sys().options.irql_checks != Options::IrqlChecks::Free; }

// The processor that holds a lock by this handle, or waits by it, or -1.
int user_of(const LockHandle& handle) {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (processor(number).held_locks.find([&handle](const HeldLock& entry) { return entry.handle == &handle; }) != nullptr)
      return static_cast<int>(number);
  return -1;
}

void check_before_acquiring(const SpinLock& lock, const LockHandle& handle) {
  const Processor& self = Machine::here();
  if (!is_checked()) return;
  if (self.held_locks.find_lock(&lock) != nullptr)
    bug_check(stop::SpinLockAlreadyOwned, {as_parameter(&lock), self.number, self.number, as_parameter(Machine::irql())},
              "A processor tried to acquire a spin lock that it already holds, or waits for.", "LCK-3");
  if (user_of(handle) >= 0)
    bug_check(stop::DriverVerifierDetectedViolation, {0x1005, as_parameter(&handle), 0, 0},
              "A lock queue handle was used for a second acquisition while the first still needs it.", "LCK-2");
}

[[noreturn]] void refuse_release(const LockHandle& handle) {
  const Processor& self = Machine::here();
  const void* named = LockQueue::lock_of(handle);
  const HeldLock* held = self.held_locks.find_lock(named);
  if (held != nullptr && held->handle == nullptr)
    bug_check(stop::DriverVerifierDetectedViolation, {0x1009, as_parameter(named), 0, 0},
              "A spin lock that is held as an ordinary one was released as an in-stack queued one.", "LCK-2");
  bug_check(stop::SpinLockNotOwned,
            {as_parameter(named), self.number, static_cast<std::uint64_t>(static_cast<std::int64_t>(user_of(handle))), as_parameter(Machine::irql())},
            "A lock queue handle was released by which this processor does not hold a lock.", "LCK-2");
}

}  // namespace

// Puts the place at the end of the queue; returns what the word was before.
std::uintptr_t LockQueue::enter(SpinLock& lock, LockPlace& place) {
  const std::uintptr_t mine = reinterpret_cast<std::uintptr_t>(&place) | SpinLock::kQueued;
  std::uintptr_t seen = lock.word_;
  for (;;) {
    if (seen != 0 && !SpinLock::is_queued(seen)) {
      if (seen > sys().processor_count)
        bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(&lock), 0, 0},
                  "A queued spin lock was acquired that KeInitializeSpinLock never initialised, or that something has overwritten.", "LCK-3");
      if (is_checked())
        bug_check(stop::DriverVerifierDetectedViolation, {0x1008, as_parameter(&lock), 0, 0},
                  "A spin lock was acquired as an in-stack queued one while it is held as an ordinary one.", "LCK-2");
      Machine::spin_pause(lock.word());
      seen = lock.word_;
    } else if (__atomic_compare_exchange_n(&lock.word_, &seen, mine, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      return seen;
    }
  }
}

void LockQueue::wait_for(SpinLock& lock, LockPlace& place, std::uintptr_t word_before) {
  auto& before = *reinterpret_cast<LockPlace*>(word_before & ~LockPlace::kBits);
  // It stays until it has seen us, so what it says can be trusted, unless its memory was used for something else.
  if ((before.lock & ~LockPlace::kBits) != reinterpret_cast<std::uintptr_t>(&lock))
    bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(&lock), as_parameter(&before), 0},
              "The lock queue handle of a queued spin lock that is still held, or waited for, was overwritten.", "LCK-2");
  __atomic_store_n(&before.next, &place, __ATOMIC_RELEASE);
  while ((__atomic_load_n(&place.lock, __ATOMIC_ACQUIRE) & LockPlace::kWaits) != 0) Machine::spin_pause({&place.lock, &lock});
}

void LockQueue::acquire_here(SpinLock& lock, LockHandle& handle, LockForm form) {
  check_before_acquiring(lock, handle);
  Processor& self = Machine::here();
  LockPlace& place = handle.place;
  place.next = nullptr;
  place.lock = reinterpret_cast<std::uintptr_t>(&lock) | LockPlace::kWaits;
  self.held_locks.add({&lock, &handle, self.current_thread, LockKind::Queued, false});
  const std::uintptr_t word_before = enter(lock, place);
  if (word_before != 0) wait_for(lock, place, word_before);
  place.lock = reinterpret_cast<std::uintptr_t>(&lock) | LockPlace::kOwns;
  Machine::observe(LockAcquired{&lock, LockKind::Queued, word_before != 0, form, false, &handle});
}

void LockQueue::release_here(LockHandle& handle, LockForm form) {
  Processor& self = Machine::here();
  LockPlace& place = handle.place;
  const auto is_this = [&handle](const HeldLock& entry) { return entry.handle == &handle; };
  const HeldLock* held = self.held_locks.find(is_this);
  if (held == nullptr && self.held_locks.is_complete()) refuse_release(handle);
  if (held != nullptr && held->lock != lock_of(handle))
    bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(held->lock), as_parameter(&handle), 0},
              "The lock queue handle of a queued spin lock was overwritten while the lock is held.", "LCK-2");
  if (held != nullptr) held->check_thread();
  auto& lock = *reinterpret_cast<SpinLock*>(place.lock & ~LockPlace::kBits);
  Machine::observe(LockReleased{&lock, LockKind::Queued, form, false, &handle});
  self.held_locks.remove(is_this);
  LockPlace* next = __atomic_load_n(&place.next, __ATOMIC_ACQUIRE);
  if (next == nullptr) {
    std::uintptr_t alone = reinterpret_cast<std::uintptr_t>(&place) | SpinLock::kQueued;
    if (!__atomic_compare_exchange_n(&lock.word_, &alone, std::uintptr_t{0}, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
      // Somebody stands behind and is about to say who.
      const auto* link = reinterpret_cast<const volatile std::uintptr_t*>(&place.next);
      while ((next = __atomic_load_n(&place.next, __ATOMIC_ACQUIRE)) == nullptr) Machine::spin_pause({link, &lock});
    }
  }
  place.lock = reinterpret_cast<std::uintptr_t>(&lock);
  if (next != nullptr) __atomic_store_n(&next->lock, reinterpret_cast<std::uintptr_t>(&lock) | LockPlace::kOwns, __ATOMIC_RELEASE);
}

}  // namespace kdpc
