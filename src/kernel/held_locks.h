// Which locks of drivers a processor holds, or stands in the queue for: what is needed to find misuse of one lock (SEMANTICS LCK-3).
//
// The locks of the kernel itself are not among them, and neither are those of interrupts: it is known when they are taken and given back.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernel/events.h"

namespace kdpc {

struct Thread;

struct HeldLock {
  // An audit on another processor reads one of these as a hint: it may find what is just being added, moved, or given back.
  const volatile void* volatile lock;
  const void* volatile handle;  // the place in the queue; null: not a queued lock
  Thread* volatile thread;      // that ran, or was interrupted, when it was taken
  LockKind kind;
  bool shared;

  // Given back by another thread than took it: bug check 0xC4/0x1004.
  void check_thread() const;
};

class HeldLocks {
 public:
  // What is deeper than this is not looked after: nobody holds so many locks but by mistake, and the mistake shows elsewhere.
  static constexpr std::uint32_t kMost = 16;

  // An ISR may come between any two steps; what it adds it removes. So a place is claimed first, and cleared before it is given back. Both are steps of the
  // program only if the compiler leaves them where they are: it may move what is not volatile across what is.
  void add(const HeldLock& entry) {
    const std::uint32_t place = count_;
    count_ = place + 1;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (place < kMost) put(entries_[place], entry);
  }
  // The innermost one that fits; null: there is none.
  template <class Fits>
  const HeldLock* find(Fits&& fits) const {
    for (std::uint32_t index = count_ < kMost ? count_ : kMost; index-- > 0;)
      if (fits(entries_[index])) return &entries_[index];
    return nullptr;
  }
  const HeldLock* find_lock(const volatile void* lock) const {
    return find([lock](const HeldLock& entry) { return entry.lock == lock; });
  }
  // One that is held, the innermost that fits.
  template <class Fits>
  void remove(Fits&& fits) {
    const HeldLock* found = find(fits);
    if (found == nullptr && is_complete()) return;
    const std::uint32_t last = (count_ < kMost ? count_ : kMost) - 1;
    if (found != nullptr) {
      for (auto place = static_cast<std::uint32_t>(found - entries_); place < last; ++place) put(entries_[place], entries_[place + 1]);
      put(entries_[last], {});
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    count_ = count_ - 1;
  }
  // Nothing was left out, so what is not found is not held.
  bool is_complete() const { return count_ <= kMost; }
  std::uint32_t count() const { return count_; }

 private:
  // One after another, as an audit reads them: the compiler would copy the whole.
  static void put(HeldLock& to, const HeldLock& from) {
    to.lock = from.lock;
    to.handle = from.handle;
    to.thread = from.thread;
    to.kind = from.kind;
    to.shared = from.shared;
  }

  volatile std::uint32_t count_;
  HeldLock entries_[kMost];
};

namespace held_locks {

// Memory is about to be freed: a lock inside it that is held is bug check 0xC4/0x100B.
void audit_range(const void* low, const void* high);
// A thread ends: a lock it has taken and nobody has given back is bug check 0xC4/0x100A.
void audit_thread(const Thread& thread);

}  // namespace held_locks
}  // namespace kdpc
