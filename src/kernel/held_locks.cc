#include "kernel/held_locks.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

// Driver Verifier's deadlock detection looks for these; a system without it goes on.
bool is_strict() { return sys().options.irql_checks == Options::IrqlChecks::Strict; }

template <class Fits>
const HeldLock* find_anywhere(Fits&& fits) {
  for (unsigned number = 0; number < sys().processor_count; ++number)
    if (const HeldLock* found = processor(number).held_locks.find(fits); found != nullptr) return found;
  return nullptr;
}

}  // namespace

void HeldLock::check_thread() const {
  const Thread* current = Machine::here().current_thread;
  if (thread == current || !is_strict()) return;
  bug_check(stop::DriverVerifierDetectedViolation, {0x1004, as_parameter(lock), as_parameter(thread), as_parameter(current)},
            "A spin lock was released in another thread than it was acquired in: in between the level was lowered with the lock held.", "LCK-3");
}

namespace held_locks {

void audit_range(const void* low, const void* high) {
  if (!is_strict()) return;
  const HeldLock* held = find_anywhere([low, high](const HeldLock& entry) { return entry.lock >= low && entry.lock < high; });
  if (held != nullptr)
    bug_check(stop::DriverVerifierDetectedViolation, {0x100B, as_parameter(held->lock), as_parameter(held->thread), 0},
              "Memory that holds a spin lock is being freed while the lock is held.", "LCK-3");
}

void audit_thread(const Thread& thread) {
  if (!is_strict()) return;
  const HeldLock* held = find_anywhere([&thread](const HeldLock& entry) { return entry.thread == &thread; });
  if (held != nullptr)
    bug_check(stop::DriverVerifierDetectedViolation, {0x100A, as_parameter(&thread), as_parameter(held->lock), 0},
              "A thread ends that has acquired a spin lock and never released it.", "LCK-3");
}

}  // namespace held_locks
}  // namespace kdpc
