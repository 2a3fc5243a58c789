// Spin locks: the order in which they are taken, how they are let go, and at what level.
//
// The order is a graph: an arrow from a lock to every lock that was taken while it was held, by whom and where. An arrow that closes a circle is a
// deadlock waiting for the right moment; it is found although nobody has ever waited.
//
//   K.RULE-2  `held` of a processor is what its code, with everything that code has interrupted, holds now, oldest first.
#pragma once
#include <map>
#include <vector>

#include "check/rules/scene.h"

namespace kdpc::rules {

class Locks {
 public:
  explicit Locks(unsigned processors) : held_(processors), pending_(processors) {}

  void on(Scene& scene, const LockAcquired& fact);
  void on(Scene& scene, const LockReleased& fact);
  void on(Scene& scene, const LockInitialized& fact);
  void on(Scene& scene, const PoolFreed& fact);
  void on(Scene& scene, const IrqlChanged& fact);
  void on(Scene& scene, const RoutineEntered& fact);
  void on(Scene& scene, const InterruptConnected& fact);
  void on(Scene& scene, const ActivityBegan& fact);
  void on(Scene& scene, const ActivityEnded& fact);
  void on(Scene& scene, const IrpReturned& fact);

  struct Held {
    std::uintptr_t lock;
    LockKind kind;
    LockForm form;
    bool shared;
    std::uint8_t level;    // at which it was taken
    std::uint64_t actor;   // its serial …
    std::uint64_t nested;  // … and how long it had been interrupted until then
    Party by;
  };
  const std::vector<Held>& held(unsigned processor) const { return held_[processor]; }
  // At which level the interrupts of this object come: that of its vector, which may be below the level its routine runs at.
  std::uint8_t level_of_interrupt(std::uintptr_t object, std::uint8_t otherwise) const {
    const auto found = interrupts_.find(object);
    return found != interrupts_.end() ? found->second : otherwise;
  }
  const Held* find(std::uintptr_t lock) const;

 private:
  struct Arrow {
    std::uintptr_t to;
    Party holder;  // took the lock the arrow comes from …
    Party taker;   // … and, holding it, the one it leads to
  };
  struct Lock {
    std::vector<Arrow> arrows;
    bool exclusive = false;   // somebody has taken it so; locks that are only ever shared make nobody wait
    unsigned interrupts = 0;  // the highest level at which an interrupt, or a DPC, has taken it …
    Party interrupter;
    unsigned lowest = 16;  // … and the lowest level at which anybody has held it
    Party low;
  };
  void judge(Scene& scene, bool for_isr, std::uintptr_t routine);
  void judge_pending(Scene& scene) {
    if (pending_[scene.stamp.processor]) judge(scene, false, 0);
  }
  void check_level(Scene& scene, std::uintptr_t address, Lock& lock, const Held& now);
  void forget(std::uintptr_t low, std::uintptr_t high);
  void draw_arrows(Scene& scene, std::uintptr_t to);
  void look_for_circle(Scene& scene, std::uintptr_t from, const Arrow& closing);
  void check_return(Scene& scene);
  bool path(std::uintptr_t from, std::uintptr_t to, std::vector<const Arrow*>& arrows, std::vector<std::uintptr_t>& seen) const;

  std::map<std::uintptr_t, Lock> locks_;
  std::vector<std::vector<Held>> held_;
  std::vector<bool> pending_;                          // an interrupt's lock was taken, and the next fact says whether for its ISR
  std::map<std::uintptr_t, std::uint8_t> interrupts_;  // connected objects
};

}  // namespace kdpc::rules
