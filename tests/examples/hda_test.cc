// The example driver hda with QEMU's controller: its ISR and DPC run on messages, on time every sample is heard, and late the last ring again.
#include <gmock/gmock.h>
#include <stdlib.h>
#include <wdm.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "devices/qtest/qemu_board.h"
#include "kdpc/test.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPeriod = 480, kRing = 4 * kPeriod;  // frames

struct Frame {
  std::int16_t left, right;
  bool operator==(const Frame&) const = default;
};
using Frames = std::vector<Frame>;

// Every frame is another one, and none is silence.
Frames counting(std::size_t count) {
  Frames frames;
  for (std::size_t i = 0; i < count; ++i)
    frames.push_back({static_cast<std::int16_t>(1 + i % 30000), static_cast<std::int16_t>(-1 - static_cast<int>(i / 30000))});
  return frames;
}

class Controller {
 public:
  explicit Controller(lab::Machine& m, const lab::DeviceOptions& options = {}) {
    std::string name = (std::filesystem::temp_directory_path() / "kdpc-hda-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) folder_ = name;
    qtest::QemuConfig config;
    config.outputs.push_back({.id = "sound", .path = (folder_ / "out.wav").string()});
    config.devices = {{.driver = "intel-hda", .name = "hda", .options = "msi=on"},
                      {.driver = "hda-output", .name = "", .options = "audiodev=sound,mixer=off"}};
    auto started = qtest::QemuBoard::start(config);
    if (!started) {
      why = started.error().what;
      return;
    }
    board_ = std::move(started).value();
    m.attach(*board_);
    works = m.load_driver(KDPC_TEST_DRIVERS "/hda.drv", why) && m.start_device("hda", "hda", why, options);
  }
  ~Controller() { std::filesystem::remove_all(folder_); }

  // Ends it: what it played, without the silence around it.
  Frames heard() {
    EXPECT_TRUE(board_->end().ok());
    std::ifstream file(folder_ / "out.wav", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    Frames frames(bytes.size() > 44 ? (bytes.size() - 44) / sizeof(Frame) : 0);
    std::memcpy(frames.data(), bytes.data() + 44, frames.size() * sizeof(Frame));
    const auto sounds = [](const Frame& frame) { return frame != Frame{0, 0}; };
    const auto first = std::find_if(frames.begin(), frames.end(), sounds);
    const auto last = std::find_if(frames.rbegin(), frames.rend(), sounds).base();
    return first < last ? Frames(first, last) : Frames{};
  }

  bool works = false;
  std::string why;

 private:
  std::filesystem::path folder_;
  std::unique_ptr<qtest::QemuBoard> board_;
};

// The application: four writes of a period each are always under way, and at the end all is heard.
const Frames* playing = nullptr;
void play() {
  lab::DeviceFile file;
  KDPC_EXPECT_EQ(file.open("\\\\.\\Hda0"), STATUS_SUCCESS);
  lab::PendingIo pending[4];
  std::size_t begun = 0, finished = 0;
  const auto finish = [&] { KDPC_EXPECT_EQ(pending[finished++ % 4].finish().status, STATUS_SUCCESS); };
  for (std::size_t next = 0; next < playing->size(); next += kPeriod) {
    if (begun - finished == 4) finish();
    pending[begun++ % 4] = file.begin_write(playing->data() + next, std::min(kPeriod, playing->size() - next) * sizeof(Frame));
  }
  while (finished < begun) finish();
  KDPC_EXPECT_EQ(file.flush().status, STATUS_SUCCESS);
  file.close();
}

// Plays, and in the middle keeps the processor for so long; returns what is heard.
Frames heard_with(lab::Machine& m, Controller& controller, const Frames& source, std::uint32_t busy_microseconds) {
  playing = &source;
  const lab::Task application = m.start(0, PASSIVE_LEVEL, play);
  m.run_for(300ms);
  if (busy_microseconds != 0) m.on(0, DISPATCH_LEVEL, [=] { KeStallExecutionProcessor(busy_microseconds); });
  EXPECT_TRUE(m.run_until([&] { return application.done(); }, 10s));
  m.run_for(50ms);
  return controller.heard();
}

KDPC_TEST(Hda, OnTimeEverySampleIsHeardAndEveryInterruptIsAMessage) {
  Controller controller(m);
  ASSERT_TRUE(controller.works) << controller.why;
  const Frames source = counting(100 * kPeriod + 77);
  EXPECT_TRUE(heard_with(m, controller, source, 0) == source);
  EXPECT_EQ(m.count("line-changed"), 0u);
  EXPECT_GT(m.count("interrupt-requested", {{"vector", m.vector_of("hda")}}), 90u);
  EXPECT_EQ(m.vector_of("hda") & 0xF, 0xFu);  // of those for messages
}

KDPC_TEST(Hda, WithoutMessagesItsFallBackRoutineServesTheLine) {
  Controller controller(m, {.most_messages = 0});
  ASSERT_TRUE(controller.works) << controller.why;
  const Frames source = counting(50 * kPeriod);
  EXPECT_TRUE(heard_with(m, controller, source, 0) == source);
  EXPECT_GT(m.count("line-changed"), 90u);
}

// The ring goes round by itself: what is heard while the DPC is kept off is what was heard one ring before.
KDPC_TEST(Hda, ALateDpcIsHeardAsRepeatedSamples) {
  Controller controller(m);
  ASSERT_TRUE(controller.works) << controller.why;
  const Frames source = counting(100 * kPeriod);
  const Frames heard = heard_with(m, controller, source, 45'000);
  ASSERT_GT(heard.size(), source.size());
  const std::size_t gap = heard.size() - source.size();
  EXPECT_GE(gap, 240u);  // 45 ms less what the ring holds, which is 30 to 40 ms
  EXPECT_LE(gap, 770u);
  const auto begin = static_cast<std::size_t>(std::mismatch(source.begin(), source.end(), heard.begin()).first - source.begin());
  ASSERT_GT(begin, kRing);
  for (std::size_t frame = begin; frame < begin + gap; ++frame) ASSERT_TRUE(heard[frame] == heard[frame - kRing]) << frame - begin;
  EXPECT_TRUE(
      std::equal(source.begin() + static_cast<std::ptrdiff_t>(begin), source.end(), heard.begin() + static_cast<std::ptrdiff_t>(begin + gap)));
}

KDPC_TEST(Hda, ItCanBeRemovedWhileItPlaysNothingAndUnloaded) {
  Controller controller(m);
  ASSERT_TRUE(controller.works) << controller.why;
  std::string why;
  EXPECT_TRUE(m.remove_device("hda", why)) << why;
  EXPECT_TRUE(m.start_device("hda", "hda", why)) << why;
  EXPECT_TRUE(m.unload_driver("hda", why)) << why;
  EXPECT_THAT(m.debug_lines(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace kdpc
