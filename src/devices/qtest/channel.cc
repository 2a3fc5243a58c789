#include "devices/qtest/channel.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace kdpc::qtest {
namespace {

// Takes the next word off `text`.
std::string_view next_word(std::string_view& text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

// Values are written as 0x… by register reads and in decimal by the clock and by line numbers.
std::optional<std::uint64_t> parse_number(std::string_view word) {
  const bool hexadecimal = word.starts_with("0x");
  if (hexadecimal) word.remove_prefix(2);
  std::uint64_t number = 0;
  const char* const end = word.data() + word.size();
  const auto parsed = std::from_chars(word.data(), end, number, hexadecimal ? 16 : 10);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this == &other) return *this;
  reset();
  number_ = other.release();
  return *this;
}

int Descriptor::release() { return std::exchange(number_, -1); }

void Descriptor::reset() {
  if (valid()) ::close(release());
}

Channel::Channel(Descriptor socket, std::chrono::milliseconds reply_timeout, LineChanged on_line, AllReplied on_replies)
    : socket_(std::move(socket)), on_line_(std::move(on_line)), on_replies_(std::move(on_replies)) {
  reply_timeout = std::max(reply_timeout, std::chrono::milliseconds(1));  // 0 would mean for ever
  timeval limit{};
  limit.tv_sec = static_cast<time_t>(reply_timeout.count() / 1000);
  limit.tv_usec = static_cast<suseconds_t>(reply_timeout.count() % 1000 * 1000);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void Channel::post(std::string_view command) {
  // QEMU stops reading when too many of its replies lie unread in the socket (some 250 fit), and we would stop writing: neither may happen.
  constexpr std::size_t kMostPosted = 64;
  if (broken()) return;
  if (awaited_ >= kMostPosted && !flush()) return;
  queue_.append(command).push_back('\n');
  ++awaited_;
}

bool Channel::flush() {
  if (broken()) return false;
  return send_queued() && collect_replies();
}

std::optional<std::uint64_t> Channel::ask(std::string_view command) {
  post(command);
  if (!flush()) return std::nullopt;
  return value_;
}

void Channel::close() {
  if (!broken()) fail("the channel was closed");
}

bool Channel::send_queued() {
  std::string_view rest = queue_;
  while (!rest.empty()) {
    const ssize_t sent = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      timed_out_ = true;
      return fail("it took no commands within the time limit");
    } else if (errno != EINTR) {
      return fail(fmt::format("the connection broke ({})", std::strerror(errno)));
    }
  }
  queue_.clear();
  return true;
}

bool Channel::collect_replies() {
  while (awaited_ > 0) {
    const std::optional<std::string_view> line = next_line();
    if (!line || !take_line(*line)) return false;
  }
  on_replies_();
  return true;
}

// The line stays valid until the next call.
std::optional<std::string_view> Channel::next_line() {
  for (;;) {
    const std::string_view pending(inbox_.data() + inbox_begin_, inbox_end_ - inbox_begin_);
    if (const std::size_t length = pending.find('\n'); length != pending.npos) {
      inbox_begin_ += length + 1;
      return pending.substr(0, length);
    }
    std::memmove(inbox_.data(), pending.data(), pending.size());
    inbox_begin_ = 0;
    inbox_end_ = pending.size();
    if (inbox_end_ == inbox_.size()) return fail("it sent a line that is too long"), std::nullopt;

    const ssize_t received = ::recv(socket_.get(), inbox_.data() + inbox_end_, inbox_.size() - inbox_end_, 0);
    if (received > 0) {
      inbox_end_ += static_cast<std::size_t>(received);
    } else if (received == 0) {
      return fail("it closed the connection"), std::nullopt;
    } else if (errno == EAGAIN) {
      timed_out_ = true;
      return fail("it did not answer within the time limit"), std::nullopt;
    } else if (errno != EINTR) {
      return fail(fmt::format("the connection broke ({})", std::strerror(errno))), std::nullopt;
    }
  }
}

// "IRQ raise 20" | "IRQ lower 20" | "OK" | "OK 0x1f" | "OK 12000" | anything else is a refusal.
bool Channel::take_line(std::string_view line) {
  std::string_view rest = line;
  const std::string_view kind = next_word(rest);
  if (kind == "IRQ") {
    const std::string_view direction = next_word(rest);
    const std::optional<std::uint64_t> number = parse_number(next_word(rest));
    if (!number || (direction != "raise" && direction != "lower")) return fail(fmt::format("it sent \"{}\"", line));
    on_line_(static_cast<unsigned>(*number), direction == "raise");
    return true;
  }
  if (kind != "OK") return fail(fmt::format("it refused a command: \"{}\"", line));
  --awaited_;
  const std::string_view word = next_word(rest);
  if (word.empty()) return true;
  const std::optional<std::uint64_t> value = parse_number(word);
  if (!value) return fail(fmt::format("it sent \"{}\"", line));
  value_ = *value;
  return true;
}

bool Channel::fail(std::string why) {
  failure_ = std::move(why);
  queue_.clear();
  awaited_ = 0;
  socket_.reset();
  return false;
}

}  // namespace kdpc::qtest
