// oneTBB: in one thread a task_group that is run and waited for; to another one, a task enqueued in an arena with one worker, which looks for work for
// a while before it sleeps.
// needs tbb from libtbb-dev
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/task_scheduler_observer.h>
#include <oneapi/tbb/version.h>

#include <optional>
#include <semaphore>

#include "peer.h"

namespace {

using namespace kdpc::bench;

class Tbb {
 public:
  using Item = Work;
  static constexpr bool kPolls = true;
  static std::string name() { return fmt::format("oneTBB {}", TBB_runtime_version()); }
  static constexpr const char* kCarries =
      "a task that is allocated, with a pointer to the work. Same core: task_group::run and wait. Other core: task_arena::enqueue, whose worker "
      "polls";

  void post_here(Item& item) {
    if (!alone_) alone_.emplace(tbb::global_control::max_allowed_parallelism, 1);  // or other threads would take a share
    group_.run([&item] { item.run(); });
  }
  void run() { group_.wait(); }
  void post(Item& item) {
    arena_.enqueue([&item] { item.run(); });
  }
  // The worker is the library's own: this thread has nothing to do.
  void serve() {
    there_.emplace(arena_);
    over_.acquire();
    arena_.terminate();
  }
  void stop() { over_.release(); }

 private:
  struct OnTheOtherProcessor : tbb::task_scheduler_observer {
    explicit OnTheOtherProcessor(tbb::task_arena& arena) : task_scheduler_observer(arena) { observe(true); }
    ~OnTheOtherProcessor() override { observe(false); }
    void on_scheduler_entry(bool is_worker) override {
      if (is_worker) pin_this_thread(two_processors()->there);
    }
  };

  std::optional<tbb::global_control> alone_;
  tbb::task_group group_;
  tbb::task_arena arena_{1, 0};
  std::optional<OnTheOtherProcessor> there_;
  std::binary_semaphore over_{0};
};

}  // namespace

int main(int argc, char** argv) { return run_peer<Tbb>(argc, argv); }
