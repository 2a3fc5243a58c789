// What a program writes that uses no library: a deque under a mutex, and a condition variable for whoever waits for it not to be empty.
#pragma once
#include <condition_variable>
#include <deque>
#include <mutex>

#include "peer.h"

namespace kdpc::bench {

enum class Take { One, All };  // for each time the lock is taken

template <Take take>
class Condvar {
 public:
  using Item = Work;
  static std::string name() { return take == Take::One ? "mutex, condition variable, deque" : "the same deque, taken over whole"; }
  static constexpr const char* kCarries = take == Take::One
                                              ? "a pointer to the work; the lock is taken for each post and for each run"
                                              : "a pointer to the work; the consumer swaps the deque for an empty one and runs what it has";

  void post(Item& item) {
    {
      const std::lock_guard locked(mutex_);
      posted_.push_back(&item);
    }
    not_empty_.notify_one();
  }
  void run() {
    std::unique_lock locked(mutex_);
    run_locked(locked);
  }
  void serve() {
    std::unique_lock locked(mutex_);
    for (;;) {
      not_empty_.wait(locked, [this] { return over_ || !posted_.empty(); });
      if (over_) return;
      run_locked(locked);
    }
  }
  void stop() {
    {
      const std::lock_guard locked(mutex_);
      over_ = true;
    }
    not_empty_.notify_one();
  }

 private:
  // Until nothing is left; the lock is not held while routines run.
  void run_locked(std::unique_lock<std::mutex>& locked) {
    while (!posted_.empty()) {
      if constexpr (take == Take::One) {
        Item* const item = posted_.front();
        posted_.pop_front();
        locked.unlock();
        item->run();
      } else {
        taken_.swap(posted_);
        locked.unlock();
        for (Item* item : taken_) item->run();
        taken_.clear();
      }
      locked.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable not_empty_;
  std::deque<Item*> posted_, taken_;
  bool over_ = false;
};

}  // namespace kdpc::bench
