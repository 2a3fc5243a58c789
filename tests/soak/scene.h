// Everything that goes on at once: threads of several priorities, timers, calls to all processors, and a thread of the host's outside.
#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "kernel/timer.h"
#include "kernel/wait.h"
#include "tests/soak/common_tick.h"
#include "tests/soak/devices.h"
#include "tests/soak/soak.h"
#include "tests/soak/threads.h"
#include "tests/soak/works.h"

namespace kdpc::soak {

class Scene {
 public:
  explicit Scene(const Wish& its_wish);

  void prepare();  // on a processor, at Passive: connects, initialises, and starts the threads
  void wind_up();  // the same, when the threads have been told to stop: timers are cancelled, alarms are woken for the last time
  bool have_ended() const { return ended == threads_; }

  // A counter or a longest wait, of all together; while the machine stands still.
  std::uint64_t sum(Count what) const;
  std::uint32_t longest(Wait what) const;
  void check() const;

  // What is asked for more is done more: after a look at what has been counted.
  void set_pace();

  const Wish wish;
  CommonTick tick;
  Works works;
  Devices devices;
  std::atomic<unsigned> ended{0};
  // For whoever is first: things that make every processor take part.
  std::atomic<unsigned> calls_wanted{0}, flushes_wanted{0};
  std::atomic<unsigned> prober{0};  // the worker that does something while it is calm
  std::atomic<unsigned> batch{48}, messages{6};

  unsigned equals() const { return workers_each_ * 2 + 1; }  // threads below the alarms that may come to one processor
  Alarm& alarm(unsigned processor) { return *alarms_[processor]; }
  Worker& worker(unsigned index) { return *workers_[index]; }
  unsigned partner_of(unsigned index) const { return index + 1 == workers_.size() ? 0 : index + 1; }
  void call_everywhere(Activity& by);  // below Ipi

 private:
  struct Periodic {
    Timer timer{};
    Dpc dpc{};
    Scene* scene = nullptr;
    unsigned processor = 0;
    bool threaded = false;
  };
  static void sideline(void* context, Work& work, Activity& by);
  static void KDPC_NTAPI on_period(Dpc* dpc, void* context, void*, void*);
  static std::uintptr_t KDPC_NTAPI on_call(std::uintptr_t argument);
  void start(const char* name, ThreadRoutine* routine, void* context, std::uint8_t priority, ProcessorSet where);
  template <class Visit>
  void for_each_activity(Visit&& visit) const;
  friend class Outside;

  const unsigned workers_each_;
  unsigned threads_ = 0;
  std::vector<std::unique_ptr<Alarm>> alarms_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Porter>> porters_;
  std::unique_ptr<Periodic[]> periodic_;
  std::unique_ptr<Activity[]> of_calls_;
  Activity outside_;
};

// A thread that is none of the machine's: messages, lines and DPCs come from it, and it keeps the common tick.
class Outside {
 public:
  explicit Outside(Scene& scene) : scene_(scene), thread_([this] { live(); }) {}
  ~Outside() {
    over_ = true;
    thread_.join();
  }
  Outside(const Outside&) = delete;
  Outside& operator=(const Outside&) = delete;
  void be_quiet() { quiet_ = true; }  // the tick goes on

 private:
  void live();
  void keep_tick();
  void disturb();
  Scene& scene_;
  std::atomic<bool> over_{false}, quiet_{false};
  std::thread thread_;
};

}  // namespace kdpc::soak
