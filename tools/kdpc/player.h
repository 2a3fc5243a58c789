// The application: opens the sound device, keeps a number of writes with it until the recording is written, waits until it has been heard, closes.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "tools/kdpc/recording.h"

namespace kdpc::tool {

struct Player {
  // What it is to do.
  std::string opens;
  std::span<const Frame> frames;
  std::size_t period_frames = 480;
  unsigned outstanding = 4;

  // What it did. Written inside, read on the host.
  std::uint32_t thread = 0;
  std::uint64_t began_ns = 0;       // the first write
  std::uint64_t ended_ns = 0;       // everything heard
  std::size_t frames_taken = 0;     // by the driver
  std::int32_t status = 0;          // the first that was not success
  const char* failed_at = nullptr;  // what was refused
  bool done = false;

  // In a thread at Passive.
  void play();

 private:
  static constexpr unsigned kMostOutstanding = 32;
  bool refuse(const char* what, std::int32_t its_status);
};

}  // namespace kdpc::tool
