// Our sound card by itself: it plays in step with time, asks when a buffer is done, stands still at the end of what there is, and goes back with its board.
#include <algorithm>
#include <cstring>

#include "tests/devices/card_bench.h"

namespace kdpc::cards {
namespace {

using Samples = std::vector<std::int16_t>;
constexpr unsigned kOut = 0x10;
constexpr std::uint32_t kAsk = 0x80000000;
enum Status : unsigned { kHalted = 1, kAtLast = 2, kLastDone = 4, kBufferDone = 8 };

struct SoundBench {
  SoundBench() : card(board.add(SoundCardWish{})), host(board) { write(0x2C, 4, 2); }

  std::uint64_t read(unsigned offset, unsigned width) { return board.devices()[0]->read(1, offset, width); }
  void write(unsigned offset, unsigned width, std::uint64_t value) { board.devices()[0]->write(1, offset, width, value); }
  std::byte* buffer(unsigned number) { return board.dma().host + 0x1000 * (number + 1); }
  // Buffer `number`: so many frames, all of whose samples are `sample`.
  void fill(unsigned number, unsigned frames, std::int16_t sample, std::uint32_t flags = kAsk) {
    const Samples samples(2 * frames, sample);
    std::memcpy(buffer(number), samples.data(), 2 * samples.size());
    const std::uint32_t descriptor[] = {static_cast<std::uint32_t>(board.dma().physical + 0x1000 * (number + 1)), 2 * frames | flags};
    std::memcpy(board.dma().host + std::size_t{8} * number, descriptor, sizeof descriptor);
  }
  void run(unsigned last, unsigned enables = 0x10) {
    write(kOut, 4, board.dma().physical);
    write(kOut + 5, 1, last);
    write(kOut + 11, 1, 1 | enables);
  }
  unsigned status() { return static_cast<unsigned>(read(kOut + 6, 2)); }
  unsigned current() { return static_cast<unsigned>(read(kOut + 4, 1)); }
  unsigned left() { return static_cast<unsigned>(read(kOut + 8, 2)); }
  std::size_t count(std::int16_t sample) const {
    const Samples played = card.played();
    return static_cast<std::size_t>(std::count(played.begin(), played.end(), sample)) / 2;
  }

  CardBoard board;
  SoundCard& card;
  CardBench host;
};

TEST(OwnSoundCard, PlaysInStepWithTimeAndAsksWhenABufferIsDone) {
  SoundBench bench;
  bench.fill(0, 480, 7);
  bench.fill(1, 480, 8);
  bench.run(1);
  bench.host.run_for(5 * kMillisecond);
  EXPECT_EQ(bench.left(), 480U);
  EXPECT_EQ(bench.current(), 0U);
  EXPECT_TRUE(bench.host.run_until_line(0, 100 * kMillisecond));
  EXPECT_EQ(bench.host.now(), 10 * kMillisecond);
  EXPECT_EQ(bench.status(), kBufferDone);
  EXPECT_EQ(bench.read(0x30, 4), 0x140U);
  EXPECT_EQ(bench.current(), 1U);
  bench.write(kOut + 6, 2, kBufferDone);
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_TRUE(bench.host.run_until_line(0, 100 * kMillisecond));
  EXPECT_EQ(bench.host.now(), 20 * kMillisecond);
  EXPECT_EQ(bench.status(), unsigned{kHalted | kAtLast | kLastDone | kBufferDone});
  EXPECT_EQ(bench.board.next_event(), kNever);
  EXPECT_EQ(bench.count(7), 480U);
  EXPECT_EQ(bench.count(8), 480U);
}

TEST(OwnSoundCard, LooksAtEnablesWhateverIsSetFirst) {
  SoundBench bench;
  bench.fill(0, 48, 1, 0);
  bench.run(0, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.status(), unsigned{kHalted | kAtLast | kLastDone});
  EXPECT_FALSE(bench.host.level[0]);
  bench.write(kOut + 11, 1, 1 | 4);
  EXPECT_TRUE(bench.host.level[0]);
  bench.write(kOut + 11, 1, 1);
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(OwnSoundCard, WhatComesTooLateIsSilenceOfThatLength) {
  SoundBench bench;
  bench.fill(0, 480, 7);
  bench.run(0);
  bench.host.run_for(25 * kMillisecond);
  bench.fill(1, 480, 8);
  bench.write(kOut + 5, 1, 1);
  EXPECT_EQ(bench.status() & (kHalted | kAtLast), 0U);
  bench.host.run_for(20 * kMillisecond);
  const Samples played = bench.card.played();
  ASSERT_EQ(played.size(), std::size_t{2} * (480 + 720 + 480));
  EXPECT_EQ(played[2 * 479], 7);
  EXPECT_EQ(played[2 * 480], 0);
  EXPECT_EQ(played[2 * 1199], 0);
  EXPECT_EQ(played[2 * 1200], 8);
}

TEST(OwnSoundCard, APauseLosesNothing) {
  SoundBench bench;
  bench.fill(0, 480, 7);
  bench.run(0);
  bench.host.run_for(4 * kMillisecond);
  bench.write(kOut + 11, 1, 0x10);
  EXPECT_EQ(bench.left(), std::size_t{2} * 288);
  bench.host.run_for(100 * kMillisecond);
  EXPECT_EQ(bench.left(), std::size_t{2} * 288);
  bench.write(kOut + 11, 1, 0x11);
  EXPECT_TRUE(bench.host.run_until_line(0, 100 * kMillisecond));
  EXPECT_EQ(bench.host.now(), 110 * kMillisecond);
  EXPECT_EQ(bench.card.played().size(), std::size_t{2} * 480);
}

// A driver that knows from the card how far it is may write behind that; who writes into what is still to come is heard at once.
TEST(OwnSoundCard, ReadsWhatIsDueWhenItIsAskedAndTheRestLater) {
  SoundBench bench;
  bench.fill(0, 480, 7);
  bench.run(0);
  bench.host.run_for(5 * kMillisecond);
  EXPECT_EQ(bench.left(), 480U);
  bench.fill(0, 480, 9);
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.count(7), 240U);
  EXPECT_EQ(bench.count(9), 240U);
}

TEST(OwnSoundCard, InColdResetThereIsNoCodecAndNothingPlays) {
  SoundBench bench;
  EXPECT_EQ(bench.read(0x30, 4), 0x100U);
  bench.fill(0, 480, 7);
  bench.run(0);
  bench.write(0x2C, 4, 0);
  EXPECT_EQ(bench.read(0x30, 4), 0U);
  EXPECT_EQ(bench.board.next_event(), kNever);
  EXPECT_EQ(bench.read(kOut + 4, 4), 0x10000U);
}

TEST(OwnSoundCard, WhereThereIsNoMemoryItReadsAllOnesAndWritesNothing) {
  SoundBench bench;
  const std::uint32_t descriptor[] = {0x7FFF'FFF0, 96 | kAsk};
  std::memcpy(bench.board.dma().host, descriptor, sizeof descriptor);
  bench.run(0);
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.count(-1), 48U);
  const std::uint32_t at_the_end[] = {static_cast<std::uint32_t>(bench.board.dma().physical + bench.board.dma().size - 8), 96 | kAsk};
  std::memcpy(bench.board.dma().host, at_the_end, sizeof at_the_end);
  bench.write(0, 4, bench.board.dma().physical);
  bench.write(11, 1, 0x11);  // records
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.read(6, 2) & kLastDone, unsigned{kLastDone});
}

TEST(OwnSoundCard, RecordsSilence) {
  SoundBench bench;
  bench.fill(0, 48, 7);
  bench.write(0, 4, bench.board.dma().physical);
  bench.write(11, 1, 0x11);
  EXPECT_TRUE(bench.host.run_until_line(0, 10 * kMillisecond));
  EXPECT_EQ(bench.host.now(), kMillisecond);
  EXPECT_EQ(bench.read(0x30, 4), 0x120U);
  EXPECT_EQ(bench.buffer(0)[0], std::byte{0});
  EXPECT_EQ(bench.buffer(0)[2 * 2 * 48 - 1], std::byte{0});
}

TEST(OwnSoundCard, PulledOutItMovesNothingAndAsksForNothing) {
  SoundBench bench;
  bench.fill(0, 480, 7);
  bench.run(0);
  bench.host.run_for(5 * kMillisecond);
  ASSERT_TRUE(bench.board.pull_out(*bench.board.devices()[0]));
  EXPECT_EQ(bench.board.next_event(), kNever);
  bench.run(1);  // by who does not know yet
  EXPECT_EQ(bench.board.next_event(), kNever);
  EXPECT_EQ(bench.read(kOut + 8, 2), 0xFFFFU);
  bench.host.run_for(20 * kMillisecond);
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(OwnSoundCard, GoesBackWithItsBoard) {
  SoundBench bench;
  bench.fill(0, 480, 7);
  bench.fill(1, 480, 8);
  bench.run(1);
  bench.host.run_for(5 * kMillisecond);
  const std::span<std::byte> state = bench.board.state();
  const std::vector<std::byte> kept(state.begin(), state.end());
  bench.host.run_for(11 * kMillisecond);
  EXPECT_EQ(bench.card.played().size(), std::size_t{2} * 480);
  std::copy(kept.begin(), kept.end(), state.begin());
  EXPECT_EQ(bench.card.played().size(), 0U);  // nobody had asked then, and the buffer was not done
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.card.played().size(), std::size_t{2} * 960);
}

}  // namespace
}  // namespace kdpc::cards
