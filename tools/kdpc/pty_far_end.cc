#include "tools/kdpc/pty_far_end.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace kdpc::tool {

Result<std::unique_ptr<PtyFarEnd>> PtyFarEnd::make() {
  std::unique_ptr<PtyFarEnd> made(new PtyFarEnd);
  const auto refused = [](const char* what) {
    return Error{std::string("the host gives no pseudo terminal: ") + what + ": " + std::strerror(errno)};
  };
  made->machines_side_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (made->machines_side_ < 0) return refused("/dev/ptmx");
  char name[128];
  if (::grantpt(made->machines_side_) != 0 || ::unlockpt(made->machines_side_) != 0 || ::ptsname_r(made->machines_side_, name, sizeof name) != 0)
    return refused("unlocking it");
  made->name_ = name;
  made->side_ = ::open(name, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  made->end_event_ = ::eventfd(0, EFD_CLOEXEC);
  if (made->side_ < 0 || made->end_event_ < 0) return refused(name);
  // Every byte is what it is: no echo, no line ends, no special characters.
  termios settings{};
  if (::tcgetattr(made->side_, &settings) != 0) return refused(name);
  ::cfmakeraw(&settings);
  if (::tcsetattr(made->side_, TCSANOW, &settings) != 0) return refused(name);
  return made;
}

PtyFarEnd::~PtyFarEnd() {
  if (thread_.joinable()) {
    const std::uint64_t one = 1;
    (void)!::write(end_event_, &one, sizeof one);
    thread_.join();
  }
  for (const int descriptor : {machines_side_, side_, end_event_})
    if (descriptor >= 0) ::close(descriptor);
}

void PtyFarEnd::begin(std::string_view to_write) {
  to_write_ = to_write;
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { work(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void PtyFarEnd::work() {
  char piece[4096];
  for (;;) {
    pollfd asked[] = {{end_event_, POLLIN, 0}, {side_, static_cast<short>(to_write_.empty() ? POLLIN : POLLIN | POLLOUT), 0}};
    if (::poll(asked, 2, -1) < 0 && errno != EINTR) return;
    if (asked[0].revents != 0) return;
    if (const ssize_t got = ::read(side_, piece, sizeof piece); got > 0) {
      const std::lock_guard locked(lock_);
      heard_.append(piece, static_cast<std::size_t>(got));
      more_.notify_all();
    }
    if (to_write_.empty()) continue;
    if (const ssize_t wrote = ::write(side_, to_write_.data(), to_write_.size()); wrote > 0) to_write_.remove_prefix(static_cast<std::size_t>(wrote));
  }
}

std::string PtyFarEnd::heard(std::size_t expected) {
  std::unique_lock locked(lock_);
  for (std::size_t before = heard_.size() + 1; heard_.size() < expected && heard_.size() != before;) {
    before = heard_.size();
    more_.wait_for(locked, std::chrono::seconds(1), [&] { return heard_.size() != before; });
  }
  return heard_;
}

}  // namespace kdpc::tool
