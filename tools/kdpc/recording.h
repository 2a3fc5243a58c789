// Sound as frames of two 16-bit samples, and how it is read from a file.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/result.h"

namespace kdpc::tool {

struct Frame {
  std::int16_t left = 0;
  std::int16_t right = 0;
  bool operator==(const Frame&) const = default;
  bool is_silent() const { return left == 0 && right == 0; }
};
static_assert(sizeof(Frame) == 4);  // as a card reads it from memory

struct Recording {
  unsigned rate = 0;
  unsigned channels = 0;  // in the file; one is played on both sides
  std::vector<Frame> frames;
};

// Whatever libsndfile reads: WAV, FLAC, Ogg. The Error names the file and what is wrong with it.
Result<Recording> read_recording(const std::filesystem::path& file);
// As a WAV file. False: it cannot be written.
bool write_recording(const std::filesystem::path& file, unsigned rate, const std::vector<Frame>& frames);

}  // namespace kdpc::tool
