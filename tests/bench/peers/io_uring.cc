// io_uring: the kernel's ring of completions as the queue of a loop. In one thread a request that does nothing and completes; to another one, IORING_OP_MSG_RING,
// which puts a completion into its ring.
// needs liburing from liburing-dev
#include <liburing.h>

#include <cstring>
#include <stdexcept>

#include "peer.h"

namespace {

using namespace kdpc::bench;

class Ring {
 public:
  Ring(unsigned submissions, unsigned completions) {
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_CQSIZE;
    parameters.cq_entries = completions;
    if (const int error = io_uring_queue_init_params(submissions, &ring_, &parameters); error != 0)
      throw std::runtime_error(fmt::format("io_uring_queue_init: {}", std::strerror(-error)));
  }
  ~Ring() { io_uring_queue_exit(&ring_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  io_uring* get() { return &ring_; }
  int descriptor() const { return ring_.ring_fd; }

  io_uring_sqe* next() {
    io_uring_sqe* entry;
    while ((entry = io_uring_get_sqe(&ring_)) == nullptr) submit();
    return entry;
  }
  void submit() {
    if (const int done = io_uring_submit(&ring_); done < 0) throw std::runtime_error(fmt::format("io_uring_submit: {}", std::strerror(-done)));
  }

 private:
  io_uring ring_;
};

class IoUring {
 public:
  using Item = Work;
  static std::string name() { return "io_uring MSG_RING"; }
  static constexpr const char* kCarries =
      "64 bits in a completion: a pointer to the work. One system call posts up to 64. Same core: requests that do nothing, to the thread's own ring";

  void post_here(Item& item) {
    io_uring_sqe* const entry = target_.next();
    io_uring_prep_nop(entry);
    io_uring_sqe_set_data(entry, &item);
  }
  void post(Item& item) { send(&item); }
  void flush() { sender_.submit(); }
  void run() {
    target_.submit();
    run_completions();
  }
  void serve() {
    while (!over_) {
      io_uring_cqe* first;
      if (const int error = io_uring_wait_cqe(target_.get(), &first); error != 0 && error != -EINTR) return;
      run_completions();
    }
  }
  void stop() {
    send(nullptr);
    flush();
  }

 private:
  void send(Item* item) {
    io_uring_sqe* const entry = sender_.next();
    io_uring_prep_msg_ring(entry, target_.descriptor(), 0, reinterpret_cast<std::uint64_t>(item), 0);
    entry->flags |= IOSQE_CQE_SKIP_SUCCESS;  // nobody asks the sender's ring how it went
  }
  void run_completions() {
    io_uring_cqe* completion;
    while (io_uring_peek_cqe(target_.get(), &completion) == 0) {
      Item* const item = static_cast<Item*>(io_uring_cqe_get_data(completion));
      io_uring_cqe_seen(target_.get(), completion);
      if (item == nullptr) {
        over_ = true;
      } else {
        item->run();
      }
    }
  }

  Ring target_{64, 2 * kUnderWay};
  Ring sender_{64, 128};  // one thread's own; a second sender would have another
  bool over_ = false;
};

}  // namespace

int main(int argc, char** argv) { return run_peer<IoUring>(argc, argv); }
