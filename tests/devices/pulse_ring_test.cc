// The card that interrupts by itself, and the ring of records that it writes: whole, or in pieces.
#include "tests/devices/pulse_bench.h"

namespace kdpc::cards {
namespace {

using Words = std::vector<std::uint32_t>;

struct RingBench : PulseBench {
  static constexpr std::uint64_t kAt = 0x1000;  // in the memory of the board
  explicit RingBench(PulseWish wish) : PulseBench(with_ring(wish)) {
    write(kRing, board.dma().physical + kAt);
    write(kControl, kEnabled);
  }
  static PulseWish with_ring(PulseWish wish) {
    wish.records = 3;
    return wish;
  }
  std::uint32_t* record(unsigned number) { return reinterpret_cast<std::uint32_t*>(board.dma().host + kAt + 32 * number); }
  Words words(unsigned number) {
    Words all(record(number) + 2, record(number) + 8);
    while (!all.empty() && all.back() == 0) all.pop_back();
    return all;
  }
};

Words words_of(std::uint64_t pulse) {
  Words words(Pulse::words(pulse));
  for (std::uint32_t word = 0; word < words.size(); ++word) words[word] = Pulse::value(pulse) + word;
  return words;
}

TEST(PulseRing, EachPulseFillsTheNextRecordBeforeItIsThere) {
  RingBench bench(every_ten(4));
  for (unsigned pulse = 0; pulse < 4; ++pulse) {
    ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
    EXPECT_EQ(bench.record(pulse % 3)[0], pulse + 1);
    EXPECT_EQ(bench.record(pulse % 3)[1], 4 * Pulse::words(pulse));
    if (pulse < 3) EXPECT_EQ(bench.words(pulse), words_of(pulse));
    bench.record(pulse % 3)[0] = 0;
    bench.clear();
  }
  EXPECT_EQ(bench.words(0), words_of(3)) << "the ring begins anew";
}

TEST(PulseRing, ARecordThatIsTheDriversStillIsLeftAloneAndCounted) {
  RingBench bench(every_ten(5));
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.read(kMissed), 2u);
  EXPECT_EQ(bench.read(kCount), 5u) << "the pulses come all the same";
  EXPECT_EQ(bench.record(0)[0], 1u);
  bench.record(0)[0] = 0;
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMicrosecond);
  EXPECT_EQ(bench.record(0)[0], 6u);
}

TEST(PulseRing, WithoutARingOrWhereThereIsNoMemoryThereAreOnlyPulses) {
  PulseWish wish = every_ten(1);
  PulseBench none(wish);
  EXPECT_EQ(none.board.dma().size, 0u);
  wish.records = 3;
  PulseBench nowhere(wish), outside(wish);
  outside.write(kRing, 0xFFFF'FFE0);
  for (PulseBench* bench : {&nowhere, &outside}) {
    bench->write(kControl, kEnabled);
    bench->host.run_for(kMillisecond);
    EXPECT_EQ(bench->read(kCount), 1u);
  }
  EXPECT_EQ(nowhere.read(kMissed), 0u);
  EXPECT_EQ(outside.read(kMissed), 1u);
}

PulseWish torn(PulseWish::Early early, std::uint64_t count = 6) {
  PulseWish wish = every_ten(6);
  wish.torn = count;
  wish.early = early;
  wish.piece = 2 * kMicrosecond;
  return wish;
}

// Of the third pulse, which leaves three words: what of it is there after each piece.
struct Piece {
  std::uint32_t length = 0, words = 0, done = 0;
  unsigned rises = 0;
  bool operator==(const Piece&) const = default;
};
std::vector<Piece> pieces_of_the_third(const PulseWish& wish) {
  RingBench bench(wish);
  while (bench.host.now() < 24 * kMicrosecond) {
    bench.host.run_for(kMicrosecond);
    bench.clear();
  }
  bench.host.rises[0] = 0;
  std::vector<Piece> pieces;
  for (const unsigned at : {25, 27, 29, 31}) {
    bench.host.run_to(at * kMicrosecond);
    pieces.push_back({bench.record(2)[1] / 4, static_cast<std::uint32_t>(bench.words(2).size()), bench.record(2)[0], bench.host.rises[0]});
    bench.clear();
  }
  return pieces;
}

TEST(PulseRing, ATornRecordComesInPiecesAndThenThePulse) {
  EXPECT_EQ(pieces_of_the_third(torn(PulseWish::Early::Nothing)), (std::vector<Piece>{{3, 2, 0, 0}, {3, 3, 0, 0}, {3, 3, 3, 1}, {3, 3, 3, 1}}));
}

TEST(PulseRing, TheInterruptMayComeWithTheFirstPieceAndAgainWithTheLast) {
  EXPECT_EQ(pieces_of_the_third(torn(PulseWish::Early::Interrupt)), (std::vector<Piece>{{3, 2, 0, 1}, {3, 3, 0, 1}, {3, 3, 3, 2}, {3, 3, 3, 2}}));
}

TEST(PulseRing, DoneMayComeWithTheFirstPieceAndTheRestWithoutAWord) {
  EXPECT_EQ(pieces_of_the_third(torn(PulseWish::Early::Done)), (std::vector<Piece>{{3, 2, 3, 1}, {3, 3, 3, 1}, {3, 3, 3, 1}, {3, 3, 3, 1}}));
}

TEST(PulseRing, SoManyRecordsAreTornAndTheOthersWhole) { EXPECT_EQ(pieces_of_the_third(torn(PulseWish::Early::Nothing, 2))[0], (Piece{3, 3, 3, 1})); }

TEST(PulseRing, APulseThatComesMeanwhileHasTheRestWrittenFirst) {
  PulseWish wish = torn(PulseWish::Early::Interrupt);
  wish.piece = 15 * kMicrosecond;
  RingBench bench(wish);
  bench.host.run_to(14 * kMicrosecond);
  EXPECT_EQ(bench.record(0)[0], 0u);
  bench.host.run_to(15 * kMicrosecond);
  EXPECT_EQ(bench.record(0)[0], 1u);
  EXPECT_EQ(bench.words(0), words_of(0));
  EXPECT_EQ(bench.record(1)[0], 0u);
}

TEST(PulseRing, ACardThatIsDisabledOrPulledOutWritesNothingAnyMore) {
  RingBench disabled(torn(PulseWish::Early::Interrupt)), gone(torn(PulseWish::Early::Interrupt));
  for (RingBench* bench : {&disabled, &gone}) bench->host.run_to(5 * kMicrosecond);
  disabled.write(kControl, 0);
  EXPECT_TRUE(gone.board.pull_out(*gone.board.devices()[0]));
  for (RingBench* bench : {&disabled, &gone}) {
    bench->host.run_for(kMillisecond);
    EXPECT_EQ(bench->record(0)[0], 0u);
    EXPECT_EQ(bench->record(0)[1], 4u);
    EXPECT_EQ(bench->pulse.pulses(), 1u);
  }
}

TEST(PulseRing, TheMachineIsToldOfEachAccessInOrder) {
  RingBench bench(torn(PulseWish::Early::Nothing, 1));
  bench.host.run_for(15 * kMicrosecond);
  using Told = CardBench::Dma;
  const std::byte* const first = bench.board.dma().host + RingBench::kAt;
  EXPECT_EQ(bench.host.dma,
            (std::vector<Told>{
                {first, 4, false}, {first + 4, 8, true}, {first, 4, true}, {first + 32, 4, false}, {first + 36, 12, true}, {first + 32, 4, true}}));
}

}  // namespace
}  // namespace kdpc::cards
