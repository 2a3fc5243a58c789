// The example driver ac97 with QEMU's sound card: what applications may do to it, and what it must then do. (That it plays whole recordings, and
// what late DPCs sound like, is shown by the scenarios.)
#include <gmock/gmock.h>
#include <wdm.h>

#include <cmath>
#include <cstring>

#include "examples/drivers/ac97/ac97io.h"
#include "kdpc/test.h"
#include "tests/examples/sound_card.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using test::counting;
using test::Frame;
using test::Frames;

constexpr std::size_t kPeriod = 480;  // frames

static_assert(sizeof(Frame) == AC97_FRAME_BYTES);

struct Card : test::SoundCard {
  explicit Card(lab::Machine& m, const lab::DriverSettings& settings = {})
      : SoundCard(m, {{.driver = "AC97", .name = "card", .options = "audiodev=sound"}}) {
    works = has_board() && m.load_driver(KDPC_TEST_DRIVERS "/ac97.drv", why, {.settings = settings}) && m.start_device("card", "ac97", why);
  }
};

constexpr const char* kName = "\\\\.\\Ac97_0";

// The application's side: all of it inside.
lab::DeviceFile opened() {
  lab::DeviceFile file;
  KDPC_EXPECT_EQ(file.open(kName), STATUS_SUCCESS);
  return file;
}
void write(lab::DeviceFile& file, const Frame* frames, std::size_t count) {
  const lab::IoResult result = file.write(frames, count * sizeof(Frame));
  KDPC_EXPECT_EQ(result.status, STATUS_SUCCESS);
  KDPC_EXPECT_EQ(result.information, count * sizeof(Frame));
}
void drain(lab::DeviceFile& file) { KDPC_EXPECT_EQ(file.control(IOCTL_AC97_DRAIN).status, STATUS_SUCCESS); }
AC97_POSITION position(lab::DeviceFile& file) {
  AC97_POSITION result = {};
  KDPC_EXPECT_EQ(file.control(IOCTL_AC97_GET_POSITION, nullptr, 0, &result, sizeof result).status, STATUS_SUCCESS);
  return result;
}
void pause(std::int64_t milliseconds) {
  LARGE_INTEGER interval;
  interval.QuadPart = -milliseconds * 10000;
  KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

KDPC_TEST(Ac97, WritesOfAnyLengthAreOneStream) {
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(15 * kPeriod + 123);
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    std::size_t done = 0;
    for (const std::size_t count : {1UL, 7UL, 480UL, 1000UL, 3UL, 2000UL, 0UL}) {
      write(file, source.data() + done, count);
      done += count;
    }
    write(file, source.data() + done, source.size() - done);
    drain(file);
    const AC97_POSITION at = position(file);
    KDPC_EXPECT_EQ(at.FramesTaken, source.size());
    KDPC_EXPECT_EQ(at.FramesPlayed, 16 * kPeriod);  // the last period was filled with silence
    KDPC_EXPECT_EQ(at.Underruns, 0u);
    file.close();
  });
  EXPECT_NO_FINDINGS();
  EXPECT_EQ(card.heard(), source);
}

KDPC_TEST(Ac97, PeriodsAreAsLongAsTheRegistrySays) {
  Card card(m, {{"PeriodFrames", std::uint64_t{96}}, {"PeriodsAhead", std::uint64_t{20}}});
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(50 * 96);
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    write(file, source.data(), source.size());
    drain(file);
    KDPC_EXPECT(position(file).Interrupts > 20, position(file).Interrupts);
    file.close();
  });
  EXPECT_EQ(card.heard(), source);
}

KDPC_TEST(Ac97, ParametersOutOfRangeAreRefusedByDriverEntry) {
  std::string why;
  EXPECT_FALSE(m.load_driver(KDPC_TEST_DRIVERS "/ac97.drv", why, {.settings = {{"PeriodsAhead", std::uint64_t{32}}}}));
  EXPECT_THAT(why, ::testing::HasSubstr("STATUS_INVALID_PARAMETER"));
}

KDPC_TEST(Ac97, OneApplicationAtATimeAndWholeFramesOnly) {
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened(), other;
    KDPC_EXPECT_EQ(other.open(kName), STATUS_SHARING_VIOLATION);
    const Frame frame = {1, 1};
    KDPC_EXPECT_EQ(file.write(&frame, 3).status, STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(file.control(IOCTL_AC97_GET_POSITION).status, STATUS_BUFFER_TOO_SMALL);
    KDPC_EXPECT_EQ(file.control(CTL_CODE(FILE_DEVICE_SOUND, 0x8ff, METHOD_BUFFERED, FILE_ANY_ACCESS)).status, STATUS_INVALID_DEVICE_REQUEST);
    drain(file);  // nothing was written: nothing to wait for
    file.close();
    file = opened();
    file.close();
  });
}

KDPC_TEST(Ac97, ADrainWhenNothingPlaysIsDoneAtOnceAndTheCardStartsAgainAfterOne) {
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(12 * kPeriod);
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    write(file, source.data(), 6 * kPeriod);
    drain(file);
    drain(file);
    write(file, source.data() + 6 * kPeriod, 6 * kPeriod);
    drain(file);
    KDPC_EXPECT_EQ(position(file).FramesPlayed, 12 * kPeriod);
    file.close();
  });
  const Frames heard = card.heard();
  ASSERT_GT(heard.size(), source.size());  // with silence between
  EXPECT_TRUE(std::equal(source.begin(), source.begin() + 6 * kPeriod, heard.begin()));
  EXPECT_TRUE(std::equal(source.rbegin(), source.rbegin() + 6 * kPeriod, heard.rbegin()));
}

KDPC_TEST(Ac97, ThePositionGrowsAndAnApplicationThatComesTooLateIsCounted) {
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(16 * kPeriod);
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    write(file, source.data(), 8 * kPeriod);
    ULONGLONG before = 0;
    for (int look = 0; look < 200; ++look) {
      const AC97_POSITION at = position(file);
      KDPC_EXPECT(at.FramesPlayed >= before && at.FramesPlayed <= at.FramesTaken, before, at.FramesPlayed);
      before = at.FramesPlayed;
      KeStallExecutionProcessor(500);
    }
    KDPC_EXPECT_EQ(before, 8 * kPeriod);
    KDPC_EXPECT_EQ(position(file).Underruns, 0u);  // it may have been the end
    write(file, source.data() + 8 * kPeriod, 8 * kPeriod);
    KDPC_EXPECT_EQ(position(file).Underruns, 1u);  // it was not
    drain(file);
    file.close();
  });
}

KDPC_TEST(Ac97, ACancelledWriteIsLeftOutAndNoOtherOne) {
  RULE("IRP-3");
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  Frames source = counting(8 * kPeriod);
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    lab::PendingIo pending[8];
    for (std::size_t number = 0; number < 8; ++number) pending[number] = file.begin_write(source.data() + number * kPeriod, kPeriod * sizeof(Frame));
    KDPC_EXPECT(!pending[0].cancel());  // long in the ring
    KDPC_EXPECT(pending[6].cancel());
    for (std::size_t number = 0; number < 8; ++number) {
      const lab::IoResult result = pending[number].finish();
      KDPC_EXPECT_EQ(result.status, number == 6 ? STATUS_CANCELLED : STATUS_SUCCESS);
      KDPC_EXPECT_EQ(result.information, number == 6 ? 0 : kPeriod * sizeof(Frame));
    }
    drain(file);
    file.close();
  });
  source.erase(source.begin() + 6 * kPeriod, source.begin() + 7 * kPeriod);
  EXPECT_EQ(card.heard(), source);
}

KDPC_TEST(Ac97, AWriteThatIsCancelledHalfwayTellsHowMuchWasTaken) {
  RULE("IRP-3");
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(50 * kPeriod);
  std::uint64_t taken = 0;
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    lab::PendingIo one = file.begin_write(source.data(), source.size() * sizeof(Frame));
    pause(100);
    KDPC_EXPECT(one.cancel());
    const lab::IoResult result = one.finish();
    KDPC_EXPECT_EQ(result.status, STATUS_CANCELLED);
    taken = result.information / sizeof(Frame);
    drain(file);
    file.close();
  });
  EXPECT_GT(taken, 10 * kPeriod);
  EXPECT_LT(taken, 20 * kPeriod);
  EXPECT_EQ(card.heard(), Frames(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(taken)));
}

KDPC_TEST(Ac97, ADrainCanBeCancelled) {
  RULE("IRP-3");
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(4 * kPeriod);
  m.on(0, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    write(file, source.data(), source.size());
    lab::PendingIo first = file.begin_control(IOCTL_AC97_DRAIN);
    KDPC_EXPECT_EQ(file.control(IOCTL_AC97_DRAIN).status, STATUS_DEVICE_BUSY);
    KDPC_EXPECT(first.cancel());
    KDPC_EXPECT_EQ(first.finish().status, STATUS_CANCELLED);
    drain(file);
    file.close();
  });
  EXPECT_EQ(card.heard(), source);
}

KDPC_TEST(Ac97, ClosingEndsWhatIsQueuedAndTheRingIsHeard, .processors = 2) {
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(8 * kPeriod);
  m.on(1, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    lab::PendingIo pending[8];
    for (std::size_t number = 0; number < 8; ++number) pending[number] = file.begin_write(source.data() + number * kPeriod, kPeriod * sizeof(Frame));
    file.close();
    for (std::size_t number = 0; number < 8; ++number)
      KDPC_EXPECT_EQ(pending[number].finish().status, number < 4 ? STATUS_SUCCESS : STATUS_CANCELLED);
  });
  m.run_for(200ms);
  EXPECT_EQ(card.heard(), Frames(source.begin(), source.begin() + 4 * kPeriod));
}

KDPC_TEST(Ac97, CanBeRemovedAndStartedAgain) {
  RULE("PNP-1");
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(6 * kPeriod);
  const auto play = [&] {
    lab::DeviceFile file = opened();
    write(file, source.data(), source.size());
    drain(file);
    file.close();
  };
  m.on(0, PASSIVE_LEVEL, play);
  std::string why;
  ASSERT_TRUE(m.remove_device("card", why)) << why;
  EXPECT_THAT(m.device_names("ac97"), ::testing::IsEmpty());
  ASSERT_TRUE(m.start_device("card", "ac97", why)) << why;
  m.on(0, PASSIVE_LEVEL, play);
  ASSERT_TRUE(m.unload_driver("ac97", why)) << why;
  EXPECT_NO_FINDINGS();
}

KDPC_TEST(Ac97, PulledOutWhileItPlaysItEndsWhatIsQueuedAndTouchesNothing, .processors = 2) {
  RULE("PNP-1");
  Card card(m);
  ASSERT_TRUE(card.works) << card.why;
  const Frames source = counting(100 * kPeriod);
  lab::IoResult written, drained;
  std::int32_t reopened = STATUS_SUCCESS;
  auto application = m.start(1, PASSIVE_LEVEL, [&] {
    lab::DeviceFile file = opened();
    lab::PendingIo write = file.begin_write(source.data(), source.size() * sizeof(Frame));
    lab::PendingIo drain = file.begin_control(IOCTL_AC97_DRAIN);
    written = write.finish();
    drained = drain.finish();
    KDPC_EXPECT(!file.write(source.data(), sizeof(Frame)).ok());
    file.close();
    reopened = file.open(kName);
  });
  EXPECT_TRUE(m.run_for(50ms));
  std::string why;
  ASSERT_TRUE(m.surprise_remove_device("card", why)) << why;
  EXPECT_TRUE(m.run_until([&] { return application.done(); }, 1s));
  EXPECT_EQ(written.status, STATUS_DEVICE_REMOVED);
  EXPECT_GT(written.information, 0u);
  EXPECT_EQ(drained.status, STATUS_DEVICE_REMOVED);
  EXPECT_LT(reopened, 0);
  ASSERT_TRUE(m.unload_driver("ac97", why)) << why;
  EXPECT_NO_FINDINGS();
}

}  // namespace
}  // namespace kdpc
