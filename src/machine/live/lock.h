// A lock between processors and host threads. A processor that holds one is at Synch at least, so that it is neither preempted nor frozen meanwhile; a host thread
// may be put aside by the host at any time, so that nobody spins for long.
#pragma once
#include <atomic>

#include "kernel/irql.h"
#include "machine/live/calls.h"
#include "machine/live/slot.h"
#include "machine/live/tls.h"

namespace kdpc::live {

class Lock {
 public:
  void acquire() {
    for (unsigned turn = 0; held_.exchange(true, std::memory_order_acquire); ++turn)
      if (turn % kTurns == kTurns - 1) {
        calls::give_way();
      } else {
        __builtin_ia32_pause();
      }
  }
  void release() { held_.store(false, std::memory_order_release); }

 private:
  static constexpr unsigned kTurns = 64;
  std::atomic<bool> held_{false};
};

// The level at which nobody takes this thread's processor away, nor freezes it, for the rest of the scope; nothing on the host.
class Undisturbed {
 public:
  explicit Undisturbed(Irql level = Irql::High);
  ~Undisturbed();
  Undisturbed(const Undisturbed&) = delete;
  Undisturbed& operator=(const Undisturbed&) = delete;

 private:
  bool inside_ = false;
  Irql before_ = Irql::Passive;
};

class Locked {
 public:
  explicit Locked(Lock& lock) : lock_(lock) { lock_.acquire(); }
  ~Locked() { lock_.release(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  Undisturbed undisturbed_;
  Lock& lock_;
};

inline Undisturbed::Undisturbed(Irql level) {
  if (!tls::on_processor()) return;
  before_ = irql();
  if (before_ < level) set_irql(level);
  inside_ = true;
  ++here().undisturbed;
}
inline Undisturbed::~Undisturbed() {
  if (!inside_) return;
  --here().undisturbed;
  if (before_ < irql()) lower_here(before_);
}

}  // namespace kdpc::live
