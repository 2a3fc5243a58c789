// The example driver hda with QEMU's controller: its ISR and DPC run on messages, on time every sample is heard, and late the last ring again.
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/examples/sound_card.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::counting;
using test::Frame;
using test::Frames;

constexpr std::size_t kPeriod = 480, kRing = 4 * kPeriod;  // frames

struct Controller : test::SoundCard {
  explicit Controller(lab::Machine& m, const lab::DeviceOptions& options = {})
      : SoundCard(m, {{.driver = "intel-hda", .name = "hda", .options = "msi=on"},
                      {.driver = "hda-output", .name = "", .options = "audiodev=sound,mixer=off"}}) {
    works = has_board() && m.load_driver(KDPC_TEST_DRIVERS "/hda.drv", why) && m.start_device("hda", "hda", why, options);
  }
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

KDPC_TEST(Hda, AFileThatClosesTakesWhatWaitsWithIt) {
  Controller controller(m);
  ASSERT_TRUE(controller.works) << controller.why;
  static const Frames sound = counting(2 * kRing);
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    KDPC_EXPECT_EQ(file.open("\\\\.\\Hda0"), STATUS_SUCCESS);
    const auto write = [&] { return file.begin_write(sound.data(), sound.size() * sizeof(Frame)); };
    lab::PendingIo first = write(), second = write(), third = file.begin_flush();
    file.close();
    KDPC_EXPECT(!first.wait(0));  // being played
    KDPC_EXPECT_EQ(second.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(third.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(first.finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.open("\\\\.\\Hda0"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(file.flush().status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_TRUE(controller.heard() == sound);
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
