// The DPC queue as NT's documentation and those who rebuilt it describe it: each processor has a list under a spin lock, which is taken at HIGH_LEVEL
// for every insertion and every removal, and within it a compare-and-exchange claims the object. Written anew and as plainly as that; what a queue
// without locks is worth is seen against it.
#include "peer.h"

namespace {

using namespace kdpc::bench;

constexpr std::uint8_t kDispatch = 2, kHigh = 15;
thread_local volatile std::uint8_t level = 0;

class NtQueue {
 public:
  struct Item : Work {
    Item* next = nullptr;
    Item* previous = nullptr;
    std::atomic<NtQueue*> queue{nullptr};  // null: not queued
  };
  static constexpr bool kReference = true;
  static constexpr bool kPolls = true;
  static std::string name() { return "NT's algorithm"; }
  static constexpr const char* kCarries = "the object itself, linked; a spin lock for each insertion and each removal; its target polls";

  void post(Item& item) {
    const std::uint8_t before = level;
    level = kHigh;
    lock();
    NtQueue* none = nullptr;
    if (item.queue.compare_exchange_strong(none, this, std::memory_order_acq_rel)) {
      item.next = nullptr;
      item.previous = last_;
      (last_ == nullptr ? first_ : last_->next) = &item;
      last_ = &item;
      depth_.store(depth_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      inserted_ = inserted_ + 1;
      if (!active_ && !requested_) requested_ = true;  // a soft interrupt, taken when the level falls
    }
    unlock();
    level = before;
  }
  // What the soft interrupt does.
  void run() {
    const std::uint8_t before = level;
    level = kHigh;
    active_ = true;
    while (depth_.load(std::memory_order_relaxed) != 0) {
      lock();
      Item* const item = first_;
      first_ = item->next;
      (first_ == nullptr ? last_ : first_->previous) = nullptr;
      depth_.store(depth_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      const auto routine = item->routine;
      void *const context = item->context, *const argument1 = item->argument1, *const argument2 = item->argument2;
      item->queue.store(nullptr, std::memory_order_release);  // from here on it is its owner's again
      unlock();
      level = kDispatch;
      routine(item, context, argument1, argument2);
      level = kHigh;
    }
    active_ = false;
    requested_ = false;
    level = before;
  }
  void serve() {
    while (!over_.load(std::memory_order_relaxed)) {
      if (depth_.load(std::memory_order_relaxed) != 0) {
        run();
      } else {
        _mm_pause();
      }
    }
  }
  void stop() { over_.store(true); }

 private:
  void lock() {
    while (lock_.exchange(1, std::memory_order_acquire) != 0) {
      while (lock_.load(std::memory_order_relaxed) != 0) _mm_pause();
    }
  }
  void unlock() { lock_.store(0, std::memory_order_release); }

  alignas(64) std::atomic<std::uintptr_t> lock_{0};
  Item* first_ = nullptr;
  Item* last_ = nullptr;
  std::atomic<std::int32_t> depth_{0};  // read without the lock too
  std::uint32_t inserted_ = 0;
  volatile bool active_ = false, requested_ = false;
  alignas(64) std::atomic<bool> over_{false};
};

}  // namespace

int main(int argc, char** argv) { return run_peer<NtQueue>(argc, argv); }
