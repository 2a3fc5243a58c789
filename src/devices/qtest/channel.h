// A Channel speaks QEMU's qtest protocol: one command per line out, one reply per line back, interrupt lines reported in between.
//
//   Q.CH-1  Replies come in the order of commands; a line change that a command causes is reported before that command's reply.
//   Q.CH-2  Nothing waits for ever: a reply that does not come within the timeout of host time breaks the channel, as do EOF and FAIL.
//   Q.CH-3  A broken channel stays broken: it sends nothing, every call fails at once, failure() says why.
//
// Posted commands are collected and leave in one write, together with the next command that somebody waits for.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace kdpc::qtest {

// A file descriptor with one owner.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor() { reset(); }

  int get() const { return number_; }
  bool valid() const { return number_ >= 0; }
  int release();
  void reset();

 private:
  int number_ = -1;
};

class Channel {
 public:
  using LineChanged = std::function<void(unsigned line, bool asserted)>;
  using AllReplied = std::function<void()>;

  // `socket` is a connected stream socket whose other end is QEMU. `on_replies` is called when no reply is outstanding any more: what QEMU has
  // written to memory because of the commands can be seen then.
  Channel(Descriptor socket, std::chrono::milliseconds reply_timeout, LineChanged on_line, AllReplied on_replies);

  // Queues a command whose reply carries no value.
  void post(std::string_view command);
  // Sends everything queued and waits for all replies. False: the channel is broken.
  bool flush();
  // Queues `command`, then as flush(); returns the value of its reply.
  std::optional<std::uint64_t> ask(std::string_view command);

  std::size_t posted() const { return awaited_; }
  bool broken() const { return !failure_.empty(); }
  bool timed_out() const { return timed_out_; }
  const std::string& failure() const { return failure_; }
  void close();  // breaks the channel on purpose

 private:
  bool send_queued();
  bool collect_replies();
  std::optional<std::string_view> next_line();
  bool take_line(std::string_view line);
  bool fail(std::string why);

  Descriptor socket_;
  LineChanged on_line_;
  AllReplied on_replies_;
  std::string queue_;        // commands not yet sent
  std::size_t awaited_ = 0;  // replies outstanding, for queued and sent commands together
  std::uint64_t value_ = 0;  // of the newest reply
  std::string failure_;
  bool timed_out_ = false;
  std::array<char, 4096> inbox_;
  std::size_t inbox_begin_ = 0;
  std::size_t inbox_end_ = 0;
};

}  // namespace kdpc::qtest
