// A sound card of QEMU's whose output is recorded: what a driver has played, frame by frame.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "devices/qtest/qemu_board.h"
#include "kdpc/test.h"

namespace kdpc::test {

struct Frame {
  std::int16_t left, right;
  bool operator==(const Frame&) const = default;
};
using Frames = std::vector<Frame>;

// Every frame is another one, and none is silence.
inline Frames counting(std::size_t count) {
  Frames frames;
  for (std::size_t i = 0; i < count; ++i)
    frames.push_back({static_cast<std::int16_t>(1 + i % 30000), static_cast<std::int16_t>(-1 - static_cast<int>(i / 30000))});
  return frames;
}

class SoundCard {
 public:
  // `devices` play to the audio device "sound". Whoever derives from it loads the driver, if there is a board, and sets `works`.
  SoundCard(lab::Machine& m, const std::vector<qtest::QemuDevice>& devices) {
    std::string name = (std::filesystem::temp_directory_path() / "kdpc-sound-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
    qtest::QemuConfig config;
    config.outputs.push_back({.id = "sound", .path = recording().string()});
    config.devices = devices;
    auto started = qtest::QemuBoard::start(config);
    if (!started) {
      why = started.error().what;
      return;
    }
    board_ = std::move(started).value();
    m.attach(*board_);
  }
  ~SoundCard() { std::filesystem::remove_all(folder_); }
  SoundCard(const SoundCard&) = delete;
  SoundCard& operator=(const SoundCard&) = delete;

  // Ends the card: what it played, without the silence around it.
  Frames heard() {
    EXPECT_TRUE(board_->end().ok());
    std::ifstream file(recording(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    constexpr std::size_t kHeader = 44;
    Frames frames(bytes.size() > kHeader ? (bytes.size() - kHeader) / sizeof(Frame) : 0);
    if (!frames.empty()) std::memcpy(frames.data(), bytes.data() + kHeader, frames.size() * sizeof(Frame));
    const auto sounds = [](const Frame& frame) { return frame != Frame{0, 0}; };
    const auto first = std::find_if(frames.begin(), frames.end(), sounds);
    const auto last = std::find_if(frames.rbegin(), frames.rend(), sounds).base();
    return first < last ? Frames(first, last) : Frames{};
  }

  bool works = false;
  std::string why;

 protected:
  bool has_board() const { return board_ != nullptr; }

 private:
  std::filesystem::path recording() const { return folder_ / "out.wav"; }

  std::filesystem::path folder_;
  std::unique_ptr<qtest::QemuBoard> board_;
};

}  // namespace kdpc::test
