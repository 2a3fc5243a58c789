// The application of a sound card: opens the sound device, keeps a number of writes with it until the recording is written, waits until it has been heard, closes.
#pragma once
#include <cstdint>
#include <span>

#include "tools/kdpc/application.h"
#include "tools/kdpc/recording.h"

namespace kdpc::tool {

struct Player final : Application {
  // What it is to do.
  std::span<const Frame> frames;
  std::size_t period_frames = 480;
  unsigned outstanding = 4;

  // What it did. Written inside, read on the host.
  std::uint64_t began_ns = 0;    // the first write
  std::uint64_t ended_ns = 0;    // everything heard
  std::size_t frames_taken = 0;  // by the driver

 private:
  static constexpr unsigned kMostOutstanding = 32;
  void use(io::File& file) override;
};

}  // namespace kdpc::tool
