// libevent: an event within each object, made active by hand. Like a KDPC it is queued once at most: a second activation coalesces with the first.
// needs libevent_pthreads from libevent-dev
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/thread.h>

#include <stdexcept>

#include "peer.h"

namespace {

using namespace kdpc::bench;

class Libevent {
 public:
  struct Item : Work {
    event active;
  };
  static std::string name() { return fmt::format("libevent {}", event_get_version()); }
  static constexpr const char* kCarries =
      "an event in each object, which has a routine and a context; the base's mutex, and an eventfd where the loop sleeps";

  Libevent() {
    evthread_use_pthreads();
    base_ = event_base_new();
    if (base_ == nullptr) throw std::runtime_error("event_base_new failed");
  }
  ~Libevent() { event_base_free(base_); }
  Libevent(const Libevent&) = delete;
  Libevent& operator=(const Libevent&) = delete;

  void prepare(Item& item) {
    event_assign(
        &item.active, base_, -1, 0, [](evutil_socket_t, short, void* context) { static_cast<Item*>(context)->run(); }, &item);
  }
  void post(Item& item) { event_active(&item.active, EV_READ, 1); }
  void run() { event_base_loop(base_, EVLOOP_NONBLOCK); }
  void serve() { event_base_loop(base_, EVLOOP_NO_EXIT_ON_EMPTY); }
  void stop() { event_base_loopbreak(base_); }

 private:
  event_base* base_;
};

}  // namespace

int main(int argc, char** argv) { return run_peer<Libevent>(argc, argv); }
