#include "kernel/spinlock.h"

#include <atomic>

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

bool exchange_if_free(volatile std::uintptr_t& word, std::uintptr_t mine) {
  std::uintptr_t free = 0;
  return __atomic_compare_exchange_n(&word, &free, mine, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

std::uintptr_t mark_of(const Processor& processor) { return std::uintptr_t{processor.number} + 1; }

bool is_checked() { return sys().options.irql_checks != Options::IrqlChecks::Free; }  // a free build just hangs

}  // namespace

void SpinLock::initialize_for_driver() {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (processor(number).held_locks.find_lock(this) != nullptr)
      bug_check(stop::DriverVerifierDetectedViolation, {0x1005, as_parameter(this), 0, 0}, "A spin lock was initialised again while it is held.",
                "LCK-3");
  word_ = 0;
  Machine::observe(LockInitialized{this, LockKind::Spin});
}

void SpinLock::acquire_here(LockKind kind, LockForm form) NO_PERMISSION_CHECK {
  Processor& self = Machine::here();
  const std::uintptr_t mine = mark_of(self);
  const bool is_drivers = kind == LockKind::Spin;
  bool waited = false;
  while (!exchange_if_free(word_, mine)) {
    waited = true;
    wait_here(word_, mine);
  }
  if (is_drivers) self.held_locks.add({this, nullptr, self.current_thread, kind, false});
  Machine::observe(LockAcquired{this, kind, waited, form});
}

// One turn of waiting, unless what was seen in the word cannot come to a good end.
void SpinLock::wait_here(std::uintptr_t seen, std::uintptr_t mine) {
  if (is_checked()) {
    if (seen == mine || Machine::here().held_locks.find_lock(this) != nullptr)
      bug_check(stop::SpinLockAlreadyOwned, {as_parameter(this), mine - 1, mine - 1, as_parameter(Machine::irql())},
                "A processor tried to acquire a spin lock that it already holds, or waits for.", "LCK-3");
    if (is_queued(seen))
      bug_check(stop::DriverVerifierDetectedViolation, {0x1008, as_parameter(this), 0, 0},
                "A spin lock was acquired as an ordinary one while it is held, or waited for, as an in-stack queued one.", "LCK-2");
  }
  if (seen > sys().processor_count && !is_queued(seen))
    bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(this), 0, 0},
              "A spin lock was acquired that KeInitializeSpinLock never initialised, or that something has overwritten.", "LCK-3");
  Machine::spin_pause(&word_);
}

bool SpinLock::try_acquire_here(LockKind kind, LockForm form) {
  Processor& self = Machine::here();
  if (!exchange_if_free(word_, mark_of(self))) {
    if (const std::uintptr_t seen = word_; seen > sys().processor_count && !is_queued(seen))
      bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(this), 0, 0},
                "A spin lock was tried that KeInitializeSpinLock never initialised, or that something has overwritten.", "LCK-3");
    return false;
  }
  if (kind == LockKind::Spin) self.held_locks.add({this, nullptr, self.current_thread, kind, false});
  Machine::observe(LockAcquired{this, kind, false, form});
  return true;
}

void SpinLock::release_here(LockKind kind, LockForm form) NO_PERMISSION_CHECK {
  Processor& self = Machine::here();
  const std::uintptr_t mine = mark_of(self);
  if (word_ != mine) {
    if (is_queued(word_) && self.held_locks.find_lock(this) != nullptr)
      bug_check(stop::DriverVerifierDetectedViolation, {0x1009, as_parameter(this), 0, 0},
                "A spin lock that is held as an in-stack queued one was released as an ordinary one.", "LCK-2");
    bug_check(stop::SpinLockNotOwned,
              {as_parameter(this), mine - 1, static_cast<std::uint64_t>(static_cast<std::int64_t>(owner())), as_parameter(Machine::irql())},
              "A spin lock was released by a processor that does not hold it.", "LCK-3");
  }
  if (const HeldLock* held = self.held_locks.find_lock(this); held != nullptr) held->check_thread();
  Machine::observe(LockReleased{this, kind, form});
  if (kind == LockKind::Spin) self.held_locks.remove([this](const HeldLock& entry) { return entry.lock == this; });
  __atomic_store_n(&word_, std::uintptr_t{0}, __ATOMIC_RELEASE);
}

}  // namespace kdpc
