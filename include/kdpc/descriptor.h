// A line or a message of a board's that follows a file descriptor of Linux: an eventfd (such as VFIO, UIO's successors and io_uring signal by), a timerfd, a pipe, a
// socket, a terminal; whatever epoll can watch. On the live machine only.
//
//   void attach(BoardHost& host) override { interrupt_.connect(host, eventfd, {.line = 0}); }
//   std::uint64_t read(unsigned, std::uint64_t, unsigned) override {       // the service routine asks how often it was signalled
//     std::uint64_t count = 0;
//     interrupt_.read(&count, sizeof count);
//     return count;
//   }
//
// An edge is raised whenever something has come. What comes while an interrupt is pending raises none of its own: as with every edge, the service routine
// looks for all that there is. A level is asserted while there is something to read.
#pragma once
#include <cstddef>
#include <memory>

#include "kdpc/device.h"

namespace kdpc {

class DescriptorInterrupt {
 public:
  enum class Kind : std::uint8_t { Edge, Level };
  struct Wish {
    Kind kind = Kind::Edge;  // of a line, what Board::line_is_level() says of it
    int line = -1;           // the board's; or …
    int message = -1;        // … one of its messages, which are edges
  };

  // From Board::attach() on, by the host. The descriptor stays the caller's, and open until this is destroyed or the machine is. False: the board has failed.
  bool connect(BoardHost& host, int descriptor, const Wish& wish);
  void disconnect();  // by the host; no edge and no level from here on

  // In the board: what is there, as far as it fits; 0: nothing. Never waits. A level goes when all is read.
  std::size_t read(void* buffer, std::size_t size);
  // In the board: the other end is closed, and all it has sent was read. Then nothing interrupts any more.
  bool has_ended() const { return ended_; }

 private:
  void ready();
  void assert_level(bool asserted);

  BoardHost* host_ = nullptr;
  int descriptor_ = -1;
  Wish wish_;
  bool asserted_ = false, ended_ = false;
  std::unique_ptr<Watch> watch_;
};

}  // namespace kdpc
