#include "machine/live/sources.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "machine/live/calls.h"
#include "machine/live/signals.h"

namespace kdpc::live::sources {

namespace {

constexpr std::uint64_t kEnd = 0;  // instead of a source's number
constexpr int kAtOnce = 16;

// The lock is for host threads only. Processors come no further than again(), which is a system call.
std::mutex lock;
std::map<std::uint64_t, std::shared_ptr<std::function<void()>>> routines;
std::uint64_t last = kEnd;     // number given; never again the same, whatever becomes of the machine
std::uint64_t calling = kEnd;  // whose routine runs
std::condition_variable called;
std::thread helper;
std::atomic<int> epoll{-1};
int end_event = -1;

epoll_event event_of(std::uint64_t number, Watching how) {
  epoll_event event{};
  event.events = how == Watching::EveryTime ? EPOLLIN | EPOLLET : (how == Watching::UntilReadable ? EPOLLIN : EPOLLOUT) | EPOLLONESHOT;
  event.data.u64 = number;
  return event;
}

void call(std::uint64_t number) {
  std::unique_lock locked(lock);
  const auto its = routines.find(number);
  if (its == routines.end()) return;
  const auto routine = its->second;
  calling = number;
  locked.unlock();
  (*routine)();
  locked.lock();
  calling = kEnd;
  called.notify_all();
}

void wait_and_call() {
  for (;;) {
    epoll_event events[kAtOnce];
    const int count = ::epoll_wait(epoll, events, kAtOnce, -1);
    for (int index = 0; index < count; ++index) {
      if (events[index].data.u64 == kEnd) return;
      call(events[index].data.u64);
    }
  }
}

std::string open() {
  epoll = ::epoll_create1(EPOLL_CLOEXEC);
  end_event = ::eventfd(0, EFD_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kEnd;
  if (epoll < 0 || end_event < 0 || ::epoll_ctl(epoll, EPOLL_CTL_ADD, end_event, &event) != 0) return std::strerror(errno);
  sigset_t before;
  signals::block_all(before);
  helper = std::thread(wait_and_call);
  ::pthread_setname_np(helper.native_handle(), "sources");
  signals::restore(before);
  return {};
}

void close_descriptors() {
  if (end_event >= 0) ::close(end_event);
  if (epoll >= 0) ::close(epoll);
  end_event = epoll = -1;
}

class Source final : public Watch {
 public:
  Source(std::uint64_t number, int descriptor, Watching how) : number_(number), descriptor_(descriptor), event_(event_of(number, how)) {}
  ~Source() override {
    std::unique_lock locked(lock);
    if (routines.erase(number_) == 0) return;  // the machine was first
    ::epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor_, nullptr);
    if (std::this_thread::get_id() != helper.get_id()) called.wait(locked, [this] { return calling != number_; });
  }
  void again() override { calls::call(SYS_epoll_ctl, epoll, EPOLL_CTL_MOD, descriptor_, reinterpret_cast<long>(&event_)); }

 private:
  const std::uint64_t number_;
  const int descriptor_;
  epoll_event event_;
};

}  // namespace

Result<std::unique_ptr<Watch>> watch(int descriptor, Watching how, std::function<void()> ready) {
  const std::lock_guard locked(lock);
  if (epoll < 0)
    if (const std::string why = open(); !why.empty()) {
      close_descriptors();
      return Error{"the host gives the machine nothing to wait for file descriptors with: " + why};
    }
  const std::uint64_t number = ++last;
  epoll_event event = event_of(number, how);
  routines.emplace(number, std::make_shared<std::function<void()>>(std::move(ready)));
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    const std::string why = std::strerror(errno);
    routines.erase(number);
    return Error{"the file descriptor " + std::to_string(descriptor) + " cannot be watched: " + why};
  }
  return std::unique_ptr<Watch>(new Source(number, descriptor, how));
}

bool are_there() {
  const std::lock_guard locked(lock);
  return !routines.empty();
}

void close() {
  if (epoll < 0) return;
  const std::uint64_t one = 1;
  (void)!::write(end_event, &one, sizeof one);
  helper.join();
  const std::lock_guard locked(lock);
  routines.clear();
  close_descriptors();
}

}  // namespace kdpc::live::sources
