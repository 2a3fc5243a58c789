// The far end of a serial line that is a file descriptor: what can be read there is on its way to the chip, what the chip has sent is written there. As much as was
// read ahead waits here, the rest in the descriptor, until the line has room.
#pragma once
#include <array>
#include <functional>
#include <memory>
#include <string>

#include "kdpc/device.h"

namespace kdpc::cards {

class FarEnd {
 public:
  // `something`, in the board: there is something again to take.
  FarEnd(BoardHost& host, int descriptor, std::function<void()> something);
  ~FarEnd();
  FarEnd(const FarEnd&) = delete;
  FarEnd& operator=(const FarEnd&) = delete;

  // In the board.
  bool is_empty() const { return first_ == end_; }
  std::size_t left() const { return end_ - first_; }
  std::uint8_t take();  // not while it is empty
  void put(std::uint8_t byte);

 private:
  void read_ahead();
  void write_out();

  const int descriptor_, second_descriptor_;  // the same twice: a descriptor is watched for one thing only
  const std::function<void()> something_;
  std::array<std::uint8_t, 4096> ahead_;
  std::size_t first_ = 0, end_ = 0;
  std::string behind_;  // what found no room
  std::unique_ptr<Watch> readable_, writable_;
};

}  // namespace kdpc::cards
