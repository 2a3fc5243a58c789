// libuv. In the loop's own thread an idle handle within each object is what postpones a call. From other threads there is uv_async_send alone, which
// wakes the loop, carries nothing and coalesces: so a list under a mutex beside it carries the objects, as programs do that need every one.
// needs libuv from libuv1-dev
#include <uv.h>

#include <mutex>
#include <stdexcept>

#include "peer.h"

namespace {

using namespace kdpc::bench;

class Libuv {
 public:
  struct Item : Work {
    uv_idle_t idle;
  };
  static std::string name() { return fmt::format("libuv {}", uv_version_string()); }
  static constexpr const char* kCarries =
      "same core: an idle handle in each object. Other core: uv_async_send, which carries nothing and coalesces, and beside it our list of pointers "
      "under a mutex, taken over whole by the loop";

  Libuv() {
    if (const int error = uv_loop_init(&loop_); error != 0) throw std::runtime_error(uv_strerror(error));
    uv_async_init(&loop_, &wake_, &take);
    loop_.data = this;
  }
  ~Libuv() {
    uv_walk(
        &loop_, [](uv_handle_t* handle, void*) { uv_close(handle, nullptr); }, nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }
  Libuv(const Libuv&) = delete;
  Libuv& operator=(const Libuv&) = delete;

  void prepare(Item& item) {
    uv_idle_init(&loop_, &item.idle);
    item.idle.data = &item;
  }
  void post_here(Item& item) {
    uv_idle_start(&item.idle, [](uv_idle_t* idle) {
      uv_idle_stop(idle);
      static_cast<Item*>(idle->data)->run();
    });
  }
  void post(Item& item) {
    {
      const std::lock_guard locked(mutex_);
      posted_.push_back(&item);
    }
    uv_async_send(&wake_);
  }
  void run() { uv_run(&loop_, UV_RUN_NOWAIT); }
  void serve() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void stop() {
    stopping_.store(true);
    uv_async_send(&wake_);
  }

 private:
  static void take(uv_async_t* wake) {
    Libuv& self = *static_cast<Libuv*>(wake->loop->data);
    {
      const std::lock_guard locked(self.mutex_);
      self.taken_.swap(self.posted_);
    }
    for (Item* item : self.taken_) item->run();
    self.taken_.clear();
    if (self.stopping_.load()) uv_stop(wake->loop);
  }

  uv_loop_t loop_;
  uv_async_t wake_;
  std::mutex mutex_;
  std::vector<Item*> posted_, taken_;
  std::atomic<bool> stopping_{false};
};

}  // namespace

int main(int argc, char** argv) { return run_peer<Libuv>(argc, argv); }
