// What was played is compared with its source, frame by frame, with nothing assumed.
#include "tools/kdpc/alignment.h"

#include <gtest/gtest.h>

namespace kdpc::tool {
namespace {

using Sound = std::vector<Frame>;
constexpr std::size_t kPeriod = 480;

// No frame of it is silent, and no stretch of it occurs twice.
Sound sound(std::size_t frames, std::uint32_t seed = 1) {
  Sound made;
  for (std::size_t i = 0; i < frames; ++i) {
    seed = seed * 1664525 + 1013904223;
    made.push_back({static_cast<std::int16_t>(seed >> 17 | 1), static_cast<std::int16_t>(seed >> 9)});
  }
  return made;
}
Sound silence(std::size_t frames) { return Sound(frames); }
Sound operator+(Sound left, const Sound& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}
Sound part(const Sound& of, std::size_t from, std::size_t to) {
  return {of.begin() + static_cast<std::ptrdiff_t>(from), of.begin() + static_cast<std::ptrdiff_t>(to)};
}

TEST(Alignment, EqualSoundIsCleanWhateverTheSilenceAround) {
  const Sound source = sound(10 * kPeriod);
  const Alignment found = align(source, silence(37) + source + silence(99), kPeriod);
  EXPECT_TRUE(found.clean());
  EXPECT_EQ(found.startup, 37U);
  EXPECT_EQ(found.equal, source.size());
  EXPECT_EQ(found.after, 99U);
}

TEST(Alignment, SilenceAtTheBeginningOfTheSourceIsNotLatency) {
  const Sound source = silence(100) + sound(1000);
  EXPECT_EQ(align(source, silence(130) + sound(1000), kPeriod).startup, 30U);
  EXPECT_EQ(align(source, source, kPeriod).startup, 0U);
  EXPECT_TRUE(align(source, source, kPeriod).clean());
}

TEST(Alignment, AGapIsFoundWhereItIsAndAsLongAsItIs) {
  const Sound source = sound(10 * kPeriod);
  const Sound played = silence(5) + part(source, 0, 3 * kPeriod) + silence(241) + part(source, 3 * kPeriod, 7 * kPeriod) + silence(720) +
                       part(source, 7 * kPeriod, 10 * kPeriod);
  const Alignment found = align(source, played, kPeriod);
  ASSERT_EQ(found.dropouts.size(), 2U);
  EXPECT_EQ(found.dropouts[0].source_frame, 3 * kPeriod);
  EXPECT_EQ(found.dropouts[0].played_frame, 5 + 3 * kPeriod);
  EXPECT_EQ(found.dropouts[0].silent, 241U);
  EXPECT_EQ(found.dropouts[1].source_frame, 7 * kPeriod);
  EXPECT_EQ(found.dropouts[1].silent, 720U);
  EXPECT_EQ(found.frames_missed(), 961U);
  EXPECT_EQ(found.equal, source.size());
}

TEST(Alignment, AGapInSilenceIsBetweenTwoPeriods) {
  const Sound source = sound(2 * kPeriod - 50) + silence(150) + sound(kPeriod, 7);
  const Sound played = sound(2 * kPeriod - 50) + silence(150 + 333) + sound(kPeriod, 7);
  const Alignment found = align(source, played, kPeriod);
  ASSERT_EQ(found.dropouts.size(), 1U);
  EXPECT_EQ(found.dropouts[0].source_frame, 2 * kPeriod);
  EXPECT_EQ(found.dropouts[0].silent, 333U);
}

TEST(Alignment, LostSoundIsADropout) {
  const Sound source = sound(10 * kPeriod);
  const Alignment found = align(source, part(source, 0, 2 * kPeriod) + part(source, 3 * kPeriod, 10 * kPeriod), kPeriod);
  ASSERT_EQ(found.dropouts.size(), 1U);
  EXPECT_EQ(found.dropouts[0].source_frame, 2 * kPeriod);
  EXPECT_EQ(found.dropouts[0].lost, kPeriod);
  EXPECT_EQ(found.dropouts[0].silent + found.dropouts[0].foreign, 0U);
}

TEST(Alignment, OldSoundPlayedAgainIsADropout) {
  const Sound source = sound(10 * kPeriod);
  const Alignment found =
      align(source, part(source, 0, 4 * kPeriod) + part(source, 2 * kPeriod, 2 * kPeriod + 240) + part(source, 4 * kPeriod, 10 * kPeriod), kPeriod);
  ASSERT_EQ(found.dropouts.size(), 1U);
  EXPECT_EQ(found.dropouts[0].source_frame, 4 * kPeriod);
  EXPECT_EQ(found.dropouts[0].foreign, 240U);
  EXPECT_EQ(found.dropouts[0].lost, 0U);
}

TEST(Alignment, OneWrongSampleIsADropoutOfOneFrame) {
  const Sound source = sound(10 * kPeriod);
  Sound played = source;
  played[1000].left = static_cast<std::int16_t>(played[1000].left ^ 0x10);
  const Alignment found = align(source, played, kPeriod);
  ASSERT_EQ(found.dropouts.size(), 1U);
  EXPECT_EQ(found.dropouts[0].source_frame, 1000U);
  EXPECT_EQ(found.dropouts[0].frames(), 1U);
  EXPECT_EQ(found.equal, source.size() - 1);
}

TEST(Alignment, AnEndThatWasNotPlayedIsADropout) {
  const Sound source = sound(10 * kPeriod);
  const Alignment found = align(source, part(source, 0, 9 * kPeriod), kPeriod);
  ASSERT_EQ(found.dropouts.size(), 1U);
  EXPECT_EQ(found.dropouts[0].source_frame, 9 * kPeriod);
  EXPECT_EQ(found.dropouts[0].lost, kPeriod);
}

TEST(Alignment, NothingPlayedIsOneDropout) {
  const Sound source = sound(1000);
  for (const Sound& played : {Sound(), silence(700)}) {
    const Alignment found = align(source, played, kPeriod);
    ASSERT_EQ(found.dropouts.size(), 1U);
    EXPECT_EQ(found.dropouts[0].lost, source.size());
  }
}

TEST(Alignment, SoundAfterTheEndIsADropout) {
  const Sound source = sound(1000);
  const Alignment found = align(source, source + silence(10) + part(source, 0, 200), kPeriod);
  ASSERT_EQ(found.dropouts.size(), 1U);
  EXPECT_EQ(found.dropouts[0].source_frame, source.size());
  EXPECT_EQ(found.dropouts[0].foreign, 200U);
}

TEST(Alignment, ASilentSourceIsClean) { EXPECT_TRUE(align(silence(1000), silence(1200), kPeriod).clean()); }

}  // namespace
}  // namespace kdpc::tool
