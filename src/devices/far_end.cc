#include "devices/far_end.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace kdpc::cards {

FarEnd::FarEnd(BoardHost& host, int descriptor, std::function<void()> something)
    : descriptor_(descriptor), second_descriptor_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)), something_(std::move(something)) {
  ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
  // Nothing is called before it can be answered.
  host.enter([&] {
    readable_ = host.watch(descriptor_, Watching::UntilReadable, [this] {
      read_ahead();
      if (!is_empty()) something_();
    });
    writable_ = host.watch(second_descriptor_, Watching::UntilWritable, [this] { write_out(); });
  });
}

FarEnd::~FarEnd() {
  readable_.reset();
  writable_.reset();
  ::close(second_descriptor_);
}

std::uint8_t FarEnd::take() {
  const std::uint8_t byte = ahead_[first_++];
  if (is_empty()) read_ahead();
  return byte;
}

// When the other end has gone, which says nothing and is readable for ever, nobody waits any more.
void FarEnd::read_ahead() {
  first_ = end_ = 0;
  const ssize_t got = ::read(descriptor_, ahead_.data(), ahead_.size());
  if (got > 0) {
    end_ = static_cast<std::size_t>(got);
  } else if (got < 0 && errno == EAGAIN) {
    readable_->again();
  }
}

void FarEnd::put(std::uint8_t byte) {
  behind_ += static_cast<char>(byte);
  if (behind_.size() == 1) write_out();
}

void FarEnd::write_out() {
  if (behind_.empty()) return;
  const ssize_t wrote = ::write(second_descriptor_, behind_.data(), behind_.size());
  if (wrote > 0) behind_.erase(0, static_cast<std::size_t>(wrote));
  if (!behind_.empty() && (wrote > 0 || errno == EAGAIN)) writable_->again();
}

}  // namespace kdpc::cards
