// Spin locks: mutual exclusion between processors, held at Dispatch or above.
//
// The word is NT's KSPIN_LOCK: zero is free. Held, it names the owning processor, so that a second acquisition by the same processor is found
// at once (SEMANTICS LCK-3) and a release by a stranger too. Real even with one processor (LCK-7).
//
//   K.LOCK-1  The word is written by the owner only, except for the exchange that makes a processor the owner.
//
// Lock order inside the kernel, outermost first: interrupt locks (drivers') · dispatcher lock · vector lock · DPC queue locks · pool lock.
#pragma once
#include <cstdint>

#include "base/annotations.h"
#include "kernel/events.h"
#include "kernel/irql.h"

namespace kdpc {

class CAPABILITY("spin lock") SpinLock {
 public:
  void initialize() { word_ = 0; }

  // At Dispatch or above. Own lock: bug check 0x0F, or for ever on a free build.
  void acquire_here(LockKind kind = LockKind::Spin) ACQUIRE();
  [[nodiscard]] bool try_acquire_here(LockKind kind = LockKind::Spin) NO_PERMISSION_CHECK;
  // Not owned by this processor: bug check 0x10.
  void release_here(LockKind kind = LockKind::Spin) RELEASE();

  bool is_free() const { return word_ == 0; }
  // The processor that holds it, or -1.
  int owner() const { return static_cast<int>(word_) - 1; }
  const volatile std::uintptr_t* word() const { return &word_; }

 private:
  volatile std::uintptr_t word_;
};

static_assert(sizeof(SpinLock) == 8);

// Raises to Level and holds the lock for the rest of the scope. Interrupts at or below Level wait; the kernel's own locks use it.
template <Irql Level>
class SCOPED_CAPABILITY Locked {
 public:
  explicit Locked(SpinLock& lock, LockKind kind = LockKind::Spin) ACQUIRE(lock) : lock_(lock), kind_(kind), previous_(raise_here(Level)) {
    lock_.acquire_here(kind_);
  }
  ~Locked() RELEASE() {
    lock_.release_here(kind_);
    lower_here(previous_);
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  SpinLock& lock_;
  LockKind kind_;
  Irql previous_;
};

}  // namespace kdpc
