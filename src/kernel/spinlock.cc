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

}  // namespace

void SpinLock::acquire_here(LockKind kind) NO_PERMISSION_CHECK {
  const std::uintptr_t mine = mark_of(Machine::here());
  bool waited = false;
  while (!exchange_if_free(word_, mine)) {
    if (word_ == mine && sys().options.irql_checks != Options::IrqlChecks::Free)  // a free build just hangs
      bug_check(stop::SpinLockAlreadyOwned, {as_parameter(this), mine - 1, mine - 1, as_parameter(Machine::irql())},
                "A processor tried to acquire a spin lock that it already holds.", "LCK-3");
    if (word_ > sys().processor_count)
      bug_check(stop::DriverVerifierDetectedViolation, {0x1002, as_parameter(this), 0, 0},
                "A spin lock was acquired that KeInitializeSpinLock never initialised, or that something has overwritten.", "LCK-3");
    waited = true;
    Machine::spin_pause(&word_);
  }
  Machine::observe(LockAcquired{this, kind, waited});
}

bool SpinLock::try_acquire_here(LockKind kind) {
  if (!exchange_if_free(word_, mark_of(Machine::here()))) return false;
  Machine::observe(LockAcquired{this, kind, false});
  return true;
}

void SpinLock::release_here(LockKind kind) NO_PERMISSION_CHECK {
  const std::uintptr_t mine = mark_of(Machine::here());
  if (word_ != mine)
    bug_check(stop::SpinLockNotOwned,
              {as_parameter(this), mine - 1, static_cast<std::uint64_t>(static_cast<std::int64_t>(owner())), as_parameter(Machine::irql())},
              "A spin lock was released by a processor that does not hold it.", "LCK-3");
  Machine::observe(LockReleased{this, kind});
  __atomic_store_n(&word_, std::uintptr_t{0}, __ATOMIC_RELEASE);
}

}  // namespace kdpc
