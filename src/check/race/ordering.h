// What orders one activity before another: everything over which something is handed from one to the other.
//
// Hard: the objects of which the kernel says so (OrderReleased, OrderAcquired), interrupts from when they are connected, interlocked operations.
// Full only: locks, the levels of a processor, and the registers of a device, by which code makes an interrupt come.
// What devices do by themselves, DMA, is an activity of its own: what is done before a register is written comes before it, and it before what is done after one is
// read. All devices are one.
//
// Levels are taken note of only where driver code has accessed something at them; what the kernel does at its own levels orders nobody's accesses.
//
//   K.RACE-7  Whoever comes to hold a level of a processor comes after everything that was accessed there by those who held it before.
//   K.RACE-8  An activity begins with what was handed to it, and `hard` knows nothing of what its processor or thread has done before.
//   K.RACE-11  What a device has done by itself comes before what is done behind the read of a register, and what it does later does not.
//   K.RACE-13  What others had handed to the device comes before it in this run, and not in every one.
#pragma once
#include <map>
#include <vector>

#include "check/race/activity.h"

namespace kdpc::race {

class Ordering {
 public:
  explicit Ordering(unsigned processors) : activities(processors), levels_(processors) {}

  Activities activities;
  using Index = Activities::Index;

  void begin(Index index, const Lanes::Key& lane);
  void end(Index index);
  // Everything so far comes before it.
  void begin_behind_all(Index index, const Lanes::Key& lane);
  // One goes on as the other: what a routine was called by, or returns to.
  void go_on(Index from, Index as);
  // What the device has done comes before it; what that has come behind does by chance.
  void come_behind(Index index, Index device);

  void release(Index index, std::uintptr_t object, EdgeKind kind = EdgeKind::Object);
  void acquire(Index index, std::uintptr_t object, EdgeKind kind = EdgeKind::Object);
  // Of an interrupt's routine, for whoever disconnects it.
  void service_ended(Index index, std::uintptr_t interrupt);
  void after_services(Index index, std::uintptr_t interrupt);

  void lock(Index index, const HeldLock& held);
  void unlock(Index index, const HeldLock& held);
  void device_written(Index index, std::uintptr_t page);
  void device_read(Index index, std::uintptr_t page);

  // The activity is about to access something on this processor, at its level.
  void hold_levels(Index index, std::uint16_t processor);

  // What lies there is another object from now on.
  void forget(std::uintptr_t low, std::uintptr_t high);
  void thread_ended(std::uint32_t thread) { lanes_.thread_ended(thread); }

  const Lanes& lanes() const { return lanes_; }
  Epoch now(LaneId lane) const { return lanes_[lane].now; }

 private:
  struct LockOrder {
    Clock exclusive;
    Clock shared;
  };
  struct Level {
    Clock order;
    Index holder = 0;
    std::uint64_t serial = 0;  // of the holder; 0: none
  };
  // Adds what the activity has done and knows. From then on its lane's accesses are of a new epoch, of which those who take that over know nothing.
  void hand_over(Index index, Order& to, const Edge& edge = {});
  void hand_over(Index index, Clock& to, const Edge& edge);
  Epoch next_epoch(Index index, const Edge& edge);
  void release_level(Index index, std::uint8_t level);
  void acquire_level(Index index, std::uint8_t level);

  Lanes lanes_;
  std::map<std::uintptr_t, Order> objects_;
  std::map<std::uintptr_t, LockOrder> locks_;
  std::map<std::uintptr_t, Order> services_;
  std::map<std::uintptr_t, Clock> devices_;
  struct Levels {
    Level at[kLevels];
  };
  std::vector<Levels> levels_;
};

}  // namespace kdpc::race
