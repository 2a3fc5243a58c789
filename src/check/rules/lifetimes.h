// The lives of a driver's objects: who initialised, queued, set or waited for them, from where; and what is freed, left on a dead stack or by an
// unloaded driver while the kernel still holds on to it.
//
// The kernel itself stops when memory with a queued KDPC, a set timer or a queued work item is freed. What is found here is what it cannot see, and
// the history is told with its stops too (stops.h).
#pragma once
#include <map>
#include <vector>

#include "check/rules/scene.h"

namespace kdpc::rules {

class Lifetimes {
 public:
  void on(Scene& scene, const ObjectInitialized& fact);
  void on(Scene& scene, const DpcQueued& fact);
  void on(Scene& scene, const DpcRemoved& fact);
  void on(Scene& scene, const TimerSet& fact);
  void on(Scene& scene, const TimerCancelled& fact);
  void on(Scene& scene, const TimerExpired& fact);
  void on(Scene& scene, const WorkQueued& fact);
  void on(Scene& scene, const ActivityBegan& fact);
  void on(Scene& scene, const WaitBegan& fact);
  void on(Scene& scene, const WaitEnded& fact);
  void on(Scene& scene, const ObjectSignalled& fact);
  void on(Scene& scene, const InterruptConnected& fact);
  void on(Scene& scene, const RoutineEntered& fact);
  void on(Scene& scene, const ThreadCreated& fact);
  void on(Scene& scene, const ThreadEnded& fact);
  void on(Scene& scene, const PoolAllocated& fact);
  void on(Scene& scene, const PoolFreed& fact);
  void on(Scene& scene, const ImageUnloading& fact);

  enum class Kind : std::uint8_t { Unknown, Dpc, Timer, Event, Semaphore, WorkItem };
  struct Object {
    Kind kind = Kind::Unknown;
    bool busy = false;  // queued, or set: the kernel holds on to it
    bool on_stack = false;
    bool gone = false;           // its function has returned, whatever lies there now
    std::uint32_t period = 0;    // Timer
    std::uintptr_t dpc = 0;      // Timer
    std::uintptr_t timer = 0;    // Dpc: the one it was given to last
    std::uintptr_t routine = 0;  // Dpc, WorkItem
    unsigned waiters = 0;
    Party initialized;
    Party given;  // queued, set
    Party waited;
  };
  const Object* find(std::uintptr_t address) const;
  // The timer that is set with this DPC, or null.
  const std::pair<const std::uintptr_t, Object>* timer_of(std::uintptr_t dpc) const;
  // By whom the kernel was given what it still holds, of code in this range.
  std::vector<Party> given_between(std::uintptr_t low, std::uintptr_t high) const;
  // Who created a thread that runs this routine and has not ended.
  const Party* creator_of_thread(std::uintptr_t routine) const;
  // Who freed the memory at this address, if nobody has got it since.
  const Party* freed(std::uintptr_t address) const;
  // Who allocated the paged pool at this address.
  const Party* allocated_paged(std::uintptr_t address) const;

 private:
  struct Block {
    std::uint64_t size;
    Party by;
  };
  struct Started {
    std::uintptr_t routine;
    Party by;
  };
  Object& give(Scene& scene, std::uintptr_t address, Kind kind, const char* role);
  void look_for_stack(Scene& scene, std::uintptr_t address, Object& object);
  void check_stack(Scene& scene, std::uintptr_t address, const char* what);

  std::map<std::uintptr_t, Object> objects_;
  std::map<std::uintptr_t, Block> freed_;
  std::map<std::uintptr_t, Block> paged_;  // allocated from paged pool
  std::map<std::uint32_t, Started> threads_;
  std::map<std::uintptr_t, Party> disconnected_;  // interrupt objects
  std::vector<std::uintptr_t> on_stacks_;         // objects that lie on a kernel stack and are not gone
};

}  // namespace kdpc::rules
