// The application of a serial line: opens the port, sets its rate, writes what is to be sent, reads until the line has been quiet, asks the driver
// for its counts, closes.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "tools/kdpc/application.h"

namespace kdpc::tool {

struct Terminal final : Application {
  // What it is to do.
  unsigned baud = 115200;
  std::size_t read_bytes = 256;  // in one read
  bool rts_handshake = false;
  std::string_view to_send;

  // What it did. Written inside, read on the host. What is received lies in room that the host has made.
  std::vector<char> room;
  std::size_t received = 0;
  std::size_t sent = 0;             // taken by the driver
  bool ready = false;               // the port is open: the far end may begin
  bool has_counts = false;          // the driver told them
  std::uint32_t chip_overruns = 0;  // interrupts that found one; each stands for one character or more
  std::uint32_t ring_overruns = 0;  // bytes for which the driver had no room

 private:
  void use(io::File& file) override;
};

}  // namespace kdpc::tool
