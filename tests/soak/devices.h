// What interrupts in the soak, and what the service routines share with the rest of a driver.
//
// Two neighbouring processors are a group: they have a spin lock of the driver's own, which a message's object of both and the objects of their level lines share,
// at the higher of both levels. A plain counter behind that lock, and one behind each other interrupt lock, must never be two.
//
//   message   level 5, edge, to any processor; whoever sends says so first, and the routine must have come after it
//   level     level 7, two devices on a line's vector and two objects in its chain, on the first sixteen processors; asserted while work is left
//   latched   level 9, likewise, but each offer is one edge
#pragma once
#include <atomic>
#include <memory>

#include "kernel/interrupt.h"
#include "machine/live/lock.h"
#include "tests/soak/common_tick.h"
#include "tests/soak/soak.h"
#include "tests/soak/works.h"

namespace kdpc::soak {

// Behind an interrupt lock, or an ordinary one. Plain: the lock is all that keeps it right.
struct Guarded {
  volatile unsigned inside = 0;
  volatile std::uint64_t entered = 0;

  void enter(const char* promise) {
    expect(inside == 0, promise, inside);
    inside = inside + 1;
    entered = entered + 1;
  }
  void leave(const char* promise) {
    expect(inside == 1, promise, inside);
    inside = inside - 1;
  }
};

class Devices {
 public:
  Devices(unsigned processors, CommonTick& tick, Works& works, std::uint64_t seed);

  void prepare();  // on a processor, at Passive
  // From anywhere.
  void send_message(unsigned processor, Activity& by);
  void offer_work(Random& random, Activity& by);
  // At most Dispatch: under the group's interrupt lock, and under its spin lock, a queued one now and then.
  void synchronize(unsigned group, Activity& by);
  void lock(unsigned group, Activity& by);

  bool are_quiet() const;  // every message was answered, all work is done; while the machine stands still
  void check() const;
  Activity& activity(unsigned index) { return activities_[index]; }
  unsigned activities() const { return kLevels * processors_; }

 private:
  enum Level : std::uint8_t { Message, LevelLine, Latched, kLevels };
  struct alignas(64) Group {
    SpinLock interrupt_lock, spin_lock, queued_lock;
    Interrupt* message = nullptr;
    Guarded behind_interrupt_lock, behind_spin_lock, behind_queued_lock;
    std::atomic<std::uint64_t> spun{0}, queued{0}, synchronized{0};
  };
  struct alignas(64) Answered {
    std::atomic<std::uint64_t> asked{0}, answered{0};
  };
  // A device that has its own line.
  struct alignas(64) Device {
    Devices* all;
    unsigned line, group;
    bool level;
    live::Lock lock;
    std::uint64_t status, offered, done;  // behind `lock`
    Guarded behind_interrupt_lock;        // latched: the object's own
  };
  static constexpr unsigned kWithLines = 16;

  static unsigned char KDPC_NTAPI serve_message(Interrupt* interrupt, void* context);
  static unsigned char KDPC_NTAPI serve_level(Interrupt* interrupt, void* context);
  static unsigned char KDPC_NTAPI serve_latched(Interrupt* interrupt, void* context);
  static unsigned char KDPC_NTAPI count_synchronized(void* context);
  unsigned char serve_line(const Interrupt& interrupt, Device& device, Guarded& guarded, Level level, Count count);
  static bool take_work(Device& device);
  Activity& of(Level level, unsigned processor) { return activities_[level * processors_ + processor]; }
  void connect_messages(unsigned group);
  void connect_line(Device& device, std::uint8_t vector, unsigned processor);
  void work_a_little(Activity& by);

  const unsigned processors_, groups_, lines_;
  CommonTick& tick_;
  Works& works_;
  std::unique_ptr<Group[]> groups_memory_;
  std::unique_ptr<Answered[]> answered_;
  std::unique_ptr<Device[]> devices_;  // four for each processor that has lines: two level, two latched
  std::unique_ptr<Activity[]> activities_;
};

}  // namespace kdpc::soak
