// Push locks: many readers, or one writer, that sleep. NT's EX_PUSH_LOCK, one word, zero is free.
//
//   free 0 · owner's address with bit 0 · readers * 16 with bit 1 · the first waiter's address with bit 2
//
// Whoever must wait has his place in the queue on his own stack; the first place also keeps what the word has then no room for. NT promises no
// order; here it is that of arrival, and readers that stand together go in together. A reader waits as soon as a writer does.
//
//   K.PUSH-1  Word and queue are read and written with the dispatcher lock held.
//   K.PUSH-2  A lock is handed on: who is woken has it already.
#pragma once
#include <cstdint>

#include "kernel/events.h"

namespace kdpc {

struct Thread;
struct PushWaiter;

class PushLock {
 public:
  void initialize();

  // Passive or Apc, with APCs disabled: bug check 0xC4/0xEA. An exclusive lock that this thread has: 0xC4/0x1000, or for ever on a free build.
  void acquire(bool shared);
  [[nodiscard]] bool try_acquire(bool shared);
  // APCs enabled: 0xC4/0xEB. Not held: 0xC4/0x1007; held in the other way: 0x1009; another thread's: 0x1004.
  void release(bool shared);
  bool is_held_exclusive() const;  // by whomever

 private:
  struct State {
    Thread* owner = nullptr;
    std::uint64_t readers = 0;
    PushWaiter* first = nullptr;
    bool allows(bool shared) const { return owner == nullptr && (shared ? first == nullptr : readers == 0); }
  };
  static constexpr std::uintptr_t kOwned = 1, kRead = 2, kQueued = 4, kBits = 15;

  State read_locked() const;
  void write_locked(const State& state);
  void grant_locked(State state);
  bool take_locked(bool shared, Thread& self);

  volatile std::uintptr_t word_;
};
static_assert(sizeof(PushLock) == 8);

}  // namespace kdpc
