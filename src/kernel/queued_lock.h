// In-stack queued spin locks: whoever comes while the lock is held queues up and spins at a place of his own, and they go on in that order (LCK-2).
//
//   word ----------------------------------------.
//             next            next               v
//   place A ---------> place B ---------> place C        A owns the lock; B and C wait, each for a change of its own place.
//
//   K.QUEUE-1  A place is in the queue from the exchange that makes it the last one until its owner has handed on, or emptied, the queue.
//   K.QUEUE-2  Only the first place owns the lock; nobody but the one before it makes it so.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernel/spinlock.h"

namespace kdpc {

// NT's KSPIN_LOCK_QUEUE and KLOCK_QUEUE_HANDLE: 24 bytes of the caller's, usually on its stack.
struct LockPlace {
  LockPlace* volatile next;
  volatile std::uintptr_t lock;  // the lock's address, and in the low bits whether the place waits or owns

  static constexpr std::uintptr_t kWaits = 1;
  static constexpr std::uintptr_t kOwns = 2;
  static constexpr std::uintptr_t kBits = 7;
};

struct LockHandle {
  LockPlace place;
  Irql old_irql;
};
static_assert(sizeof(LockHandle) == 0x18 && offsetof(LockHandle, old_irql) == 0x10);

class LockQueue {
 public:
  // At Dispatch or above. The lock is own: bug check 0x0F; held as an ordinary one: 0xC4/0x1008. The handle is in use: 0xC4/0x1005.
  static void acquire_here(SpinLock& lock, LockHandle& handle, LockForm form);
  // Not a handle by which this processor holds a lock: bug check 0x10; the lock is held as an ordinary one: 0xC4/0x1009.
  static void release_here(LockHandle& handle, LockForm form);

  // What the handle says, for messages: it may be garbage.
  static const void* lock_of(const LockHandle& handle) { return reinterpret_cast<const void*>(handle.place.lock & ~LockPlace::kBits); }

 private:
  static std::uintptr_t enter(SpinLock& lock, LockPlace& place);
  static void wait_for(SpinLock& lock, LockPlace& place, std::uintptr_t word_before);
};

}  // namespace kdpc
