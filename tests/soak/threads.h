// The threads of the soak.
//
//   alarm    one per processor, at a priority of its own above all others there: waits for its event, which DPCs and threads set
//   worker   at 8, several for each group: does what a driver's threads do, in batches; between them it migrates, yields, hands on to another and waits, waits for
//            time, computes without a call
//   porter   at 4, one per group: computes and sleeps; what it gets, the others have left
//
// Workers and porters check at every turn that they are still what they were: level, processor, errno, memory of the heap, and how long they had to wait.
#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "kernel/thread.h"
#include "kernel/timer.h"
#include "kernel/wait.h"
#include "tests/soak/soak.h"

namespace kdpc::soak {

class Scene;
struct Work;

struct Alarm {
  Alarm(Scene& its_scene, unsigned its_processor) : scene(its_scene), processor(its_processor) {}
  void ring();  // at most Dispatch
  static void KDPC_NTAPI live(void* context);

  Scene& scene;
  const unsigned processor;
  EventObject event{};
  std::atomic<std::uint32_t> rung{0};  // in which common tick; 0: it has been answered
  Activity activity;
};

// What a thread carries along, wherever it runs.
class Belongings {
 public:
  explicit Belongings(unsigned mark) : mark_(mark) {}
  ~Belongings() { exchange(0); }
  void check() const;  // errno and the memory are as they were left
  void renew(Activity& by);
  void compute(unsigned turns);  // at least one; without a call to anybody

 private:
  void exchange(std::size_t size);
  const unsigned mark_;
  int error_ = 0;
  std::vector<unsigned> memory_;
};

class Worker {
 public:
  Worker(Scene& scene, unsigned index, unsigned group);
  static void KDPC_NTAPI live(void* context);
  void wake();  // by another worker
  Activity& activity() { return activity_; }
  const Activity& activity() const { return activity_; }

 private:
  friend class Scene;
  void live();
  void look_around();
  void count_migration();
  void do_batch();
  void do_one();
  void do_raised();
  void go_on();
  void migrate();
  void hand_on();
  void wait_for_time();
  void use_timer();
  void take_part();
  void flush();
  void be_calm();
  template <class Condition>
  void compute_while(Condition&& condition);
  static void KDPC_NTAPI on_timer(Dpc* dpc, void* context, void*, void*);

  Scene& scene_;
  const unsigned index_, group_;
  Activity activity_;
  Belongings belongings_;
  ProcessorSet allowed_;
  unsigned last_processor_;
  std::uint32_t last_tick_ = 0;
  EventObject event_{};
  std::atomic<std::uint32_t> woken_{0};
  Timer timer_{};
  Dpc timer_dpc_{};
};

struct Porter {
  Porter(Scene& its_scene, unsigned its_mark) : scene(its_scene), belongings(its_mark) {}
  static void KDPC_NTAPI live(void* context);
  Scene& scene;
  Belongings belongings;
  Activity activity;
};

}  // namespace kdpc::soak
