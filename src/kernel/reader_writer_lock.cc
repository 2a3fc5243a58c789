#include "kernel/reader_writer_lock.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

bool is_checked() { return sys().options.irql_checks != Options::IrqlChecks::Free; }

// A processor that holds it, or -1.
int owner_of(const ReaderWriterLock& lock) {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (processor(number).held_locks.find_lock(&lock) != nullptr) return static_cast<int>(number);
  return -1;
}

}  // namespace

bool ReaderWriterLock::exchange(std::uint32_t& seen, std::uint32_t wanted) {
  return __atomic_compare_exchange_n(&word_, &seen, wanted, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void ReaderWriterLock::check_before_acquiring() const {
  const Processor& self = Machine::here();
  if (is_checked() && self.held_locks.find_lock(this) != nullptr)
    bug_check(stop::SpinLockAlreadyOwned, {as_parameter(this), self.number, self.number, as_parameter(Machine::irql())},
              "A processor tried to acquire an executive spin lock that it already holds, shared or exclusive, or waits for.", "LCK-3");
}

void ReaderWriterLock::check_word(std::uint32_t seen) const {
  if ((seen & ~kClaimed) > kMostReaders)
    bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(this), 0, 0},
              "An executive spin lock was used that was never set to zero, or that something has overwritten.", "LCK-3");
}

void ReaderWriterLock::owned(bool shared, bool waited, LockForm form) {
  Machine::observe(LockAcquired{this, LockKind::ReaderWriter, waited, form, shared});
}

void ReaderWriterLock::remember(bool shared) {
  Processor& self = Machine::here();
  self.held_locks.add({this, nullptr, self.current_thread, LockKind::ReaderWriter, shared});
}

bool ReaderWriterLock::add_once_unclaimed(std::uint32_t part) {
  bool waited = false;
  std::uint32_t seen = word_;
  while ((seen & kClaimed) != 0 || !exchange(seen, seen + part)) {
    check_word(seen);
    if ((seen & kClaimed) == 0) continue;
    waited = true;
    Machine::spin_pause(word());
    seen = word_;
  }
  check_word(seen);
  return waited;
}

void ReaderWriterLock::acquire_exclusive_here(LockForm form) {
  check_before_acquiring();
  remember(false);
  bool waited = add_once_unclaimed(kClaimed);
  while (__atomic_load_n(&word_, __ATOMIC_ACQUIRE) != kClaimed) {
    waited = true;
    Machine::spin_pause(word());
  }
  owned(false, waited, form);
}

void ReaderWriterLock::acquire_shared_here(LockForm form) {
  check_before_acquiring();
  remember(true);
  owned(true, add_once_unclaimed(1), form);
}

bool ReaderWriterLock::try_acquire_exclusive_here() {
  std::uint32_t free = 0;
  if (!exchange(free, kClaimed)) {
    check_word(free);
    return false;
  }
  remember(false);
  owned(false, false, LockForm::Try);
  return true;
}

bool ReaderWriterLock::try_acquire_shared_here() {
  std::uint32_t seen = word_;
  do {
    check_word(seen);
    if ((seen & kClaimed) != 0) return false;
  } while (!exchange(seen, seen + 1));
  remember(true);
  owned(true, false, LockForm::Try);
  return true;
}

void ReaderWriterLock::release(bool shared, LockForm form) {
  Processor& self = Machine::here();
  const HeldLock* held = self.held_locks.find_lock(this);
  if (held == nullptr && self.held_locks.is_complete())
    bug_check(
        stop::SpinLockNotOwned,
        {as_parameter(this), self.number, static_cast<std::uint64_t>(static_cast<std::int64_t>(owner_of(*this))), as_parameter(Machine::irql())},
        "An executive spin lock was released by a processor that does not hold it.", "LCK-3");
  if (held != nullptr && held->shared != shared)
    bug_check(stop::DriverVerifierDetectedViolation, {0x1009, as_parameter(this), 0, 0},
              shared ? "An executive spin lock that is held exclusive was released as a shared one."
                     : "An executive spin lock that is held shared was released as an exclusive one.",
              "LCK-3");
  if (held != nullptr) held->check_thread();
  Machine::observe(LockReleased{this, LockKind::ReaderWriter, form, shared});
  self.held_locks.remove([this](const HeldLock& entry) { return entry.lock == this; });
  if (shared) {
    __atomic_sub_fetch(&word_, 1, __ATOMIC_RELEASE);
  } else {
    __atomic_and_fetch(&word_, ~kClaimed, __ATOMIC_RELEASE);
  }
}

bool ReaderWriterLock::try_convert_here() {
  Processor& self = Machine::here();
  const auto is_this = [this](const HeldLock& entry) { return entry.lock == this; };
  const HeldLock* held = self.held_locks.find(is_this);
  if ((held == nullptr && self.held_locks.is_complete()) || (held != nullptr && !held->shared))
    bug_check(
        stop::SpinLockNotOwned,
        {as_parameter(this), self.number, static_cast<std::uint64_t>(static_cast<std::int64_t>(owner_of(*this))), as_parameter(Machine::irql())},
        "An executive spin lock was to be converted by a processor that does not hold it shared.", "LCK-3");
  std::uint32_t alone = 1;
  if (!exchange(alone, kClaimed)) return false;
  Machine::observe(LockReleased{this, LockKind::ReaderWriter, LockForm::Convert, true});
  self.held_locks.remove(is_this);
  self.held_locks.add({this, nullptr, self.current_thread, LockKind::ReaderWriter, false});
  owned(false, false, LockForm::Convert);
  return true;
}

}  // namespace kdpc
