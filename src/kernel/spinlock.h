// Spin locks: mutual exclusion between processors, held at Dispatch or above.
//
// The word is NT's KSPIN_LOCK: zero is free. Held, it names the owning processor, so that a second acquisition by the same processor is found
// at once (SEMANTICS LCK-3) and a release by a stranger too. Real even with one processor (LCK-7). The same word serves in-stack queued
// acquisitions (kernel/queued_lock.h); while it does, it names the last place of the queue and has the low bit set.
//
//   K.LOCK-1  The word is written by the owner only, except for the exchange that makes a processor the owner, or the last in the queue.
//   K.LOCK-2  While a processor's HeldLocks names a lock, the processor holds it or stands in its queue.
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
  // A lock of a driver; held: bug check 0xC4/0x1005.
  void initialize_for_driver();
  void initialize() { word_ = 0; }

  // At Dispatch or above. Own lock: bug check 0x0F, or for ever on a free build. Queued: 0xC4/0x1008.
  void acquire_here(LockKind kind = LockKind::Spin, LockForm form = LockForm::Kernel) ACQUIRE();
  [[nodiscard]] bool try_acquire_here(LockKind kind = LockKind::Spin, LockForm form = LockForm::Kernel) NO_PERMISSION_CHECK;
  // Not owned by this processor: bug check 0x10; owned by a place in its queue: 0xC4/0x1009.
  void release_here(LockKind kind = LockKind::Spin, LockForm form = LockForm::Kernel) RELEASE();

  bool is_free() const { return word_ == 0; }
  // The processor that holds it otherwise than by a queue, or -1.
  int owner() const { return is_queued(word_) ? -1 : static_cast<int>(word_ - 1); }
  const volatile std::uintptr_t* word() const { return &word_; }

 private:
  friend class LockQueue;

  // Processors' marks are small numbers, places are aligned addresses in the lower half of the address space: everything else is garbage.
  static constexpr std::uintptr_t kQueued = 1;
  static constexpr bool is_queued(std::uintptr_t word) { return (word & 7) == kQueued && word >= 4096 && (word >> 47) == 0; }
  void wait_here(std::uintptr_t seen, std::uintptr_t mine);

  volatile std::uintptr_t word_;
};

static_assert(sizeof(SpinLock) == 8);

// Raises to Level and holds the lock for the rest of the scope. Interrupts at or below Level wait; the kernel's own locks use it.
template <Irql Level>
class SCOPED_CAPABILITY Locked {
 public:
  explicit Locked(SpinLock& lock, LockKind kind = LockKind::Spin, LockForm form = LockForm::Kernel) ACQUIRE(lock)
      : lock_(lock), kind_(kind), form_(form), previous_(raise_here(Level)) {
    lock_.acquire_here(kind_, form_);
  }
  ~Locked() RELEASE() {
    lock_.release_here(kind_, form_);
    lower_here(previous_);
  }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  Irql previous() const { return previous_; }

 private:
  SpinLock& lock_;
  LockKind kind_;
  LockForm form_;
  Irql previous_;
};

}  // namespace kdpc
