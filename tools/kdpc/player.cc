#include "tools/kdpc/player.h"

#include <algorithm>

#include "io/requests.h"
#include "this_machine.h"

namespace kdpc::tool {

void Player::use(io::File& file) {
  io::Request* pending[kMostOutstanding] = {};
  std::size_t begun = 0, finished = 0, next = 0;
  const auto finish_oldest = [&] {
    const io::IoResult result = io::requests::finish(pending[finished++ % kMostOutstanding]);
    frames_taken += result.information / sizeof(Frame);
    return result.ok() || refuse("a write", result.status);
  };
  bool well = true;
  began_ns = Machine::now();
  while (well && next < frames.size()) {
    if (begun - finished == outstanding) well = finish_oldest();
    if (!well) break;
    const std::size_t count = std::min(period_frames, frames.size() - next);
    io::Request* const request = io::requests::begin_write(file, frames.data() + next, count * sizeof(Frame));
    if (request == nullptr) {
      well = refuse("a write", STATUS_INSUFFICIENT_RESOURCES);
      break;
    }
    pending[begun++ % kMostOutstanding] = request;
    next += count;
  }
  while (finished < begun) well = finish_oldest() && well;

  // FlushFileBuffers: returns when all was heard. A driver that does not know it plays on by itself.
  if (well) {
    if (io::Request* const flush = io::requests::begin_flush(file)) {
      const io::IoResult result = io::requests::finish(flush);
      if (!result.ok() && result.status != STATUS_INVALID_DEVICE_REQUEST) refuse("to flush its buffers", result.status);
    }
  }
  ended_ns = Machine::now();
}

}  // namespace kdpc::tool
