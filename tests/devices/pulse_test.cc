// The card that interrupts by itself, register by register.
#include "tests/devices/card_bench.h"

#include "kdpc/cards.h"

namespace kdpc::cards {
namespace {

enum Register : std::uint64_t { kControl = 0, kStatus = 4, kCount = 8, kData = 12, kDoorbell = 16, kRing = 20, kMissed = 24 };
constexpr std::uint64_t kEnabled = 1, kMasked = 2, kAllOnes = 0xFFFF'FFFF;

struct Bench {
  explicit Bench(const PulseWish& wish, unsigned granted = 0) : pulse(board.add(wish)), host(board) { board.devices()[0]->grant_messages(granted); }
  std::uint64_t read(Register at) { return host.read(0, at, 4); }
  void write(Register at, std::uint64_t value) { host.write(0, at, value, 4); }
  void clear() { write(kStatus, 1); }

  CardBoard board;
  Pulse& pulse;
  CardBench host;
};

PulseWish every_ten(std::uint64_t count = kNever) { return {.first = 5 * kMicrosecond, .period = 10 * kMicrosecond, .count = count}; }

TEST(PulseCard, NothingHappensBeforeItIsEnabled) {
  Bench bench(every_ten());
  EXPECT_EQ(bench.board.next_event(), kNever);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.pulse.pulses(), 0u);
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(PulseCard, PulsesComeToTheNanosecondAndEachLeavesItsValue) {
  Bench bench(every_ten(3));
  bench.write(kControl, kEnabled);
  for (std::uint64_t pulse = 0; pulse < 3; ++pulse) {
    ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
    EXPECT_EQ(bench.host.now(), (5 + 10 * pulse) * kMicrosecond);
    EXPECT_EQ(bench.read(kStatus), 1u);
    EXPECT_EQ(bench.read(kCount), pulse + 1);
    EXPECT_EQ(bench.read(kData), Pulse::value(pulse));
    bench.clear();
    EXPECT_FALSE(bench.host.level[0]);
    EXPECT_EQ(bench.read(kStatus), 0u);
  }
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.pulse.pulses(), 3u);
}

TEST(PulseCard, EnabledAnewItBeginsAnew) {
  Bench bench(every_ten(2));
  bench.write(kControl, kEnabled);
  bench.host.run_for(kMillisecond);
  bench.write(kControl, 0);
  EXPECT_FALSE(bench.host.level[0]);
  bench.write(kControl, kEnabled);
  EXPECT_TRUE(bench.host.level[0]) << "the pulse is still there";
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.read(kCount), 4u);
}

TEST(PulseCard, AMaskKeepsTheLineDownAndThePulse) {
  Bench bench(every_ten(1));
  bench.write(kControl, kEnabled | kMasked);
  bench.host.run_for(kMillisecond);
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_EQ(bench.read(kStatus), 1u);
  EXPECT_EQ(bench.read(kControl), kEnabled | kMasked);
  bench.write(kControl, kEnabled);
  EXPECT_TRUE(bench.host.level[0]);
}

TEST(PulseCard, ADoorbellRingsAfterItsTimeAndAtOnceForZero) {
  Bench bench(every_ten(0));
  bench.write(kControl, kEnabled);
  bench.write(kDoorbell, 30);
  bench.write(kDoorbell, 20);
  EXPECT_EQ(bench.board.next_event(), 20 * kMicrosecond);
  bench.host.run_for(25 * kMicrosecond);
  EXPECT_EQ(bench.read(kCount), 1u);
  bench.host.run_for(5 * kMicrosecond);
  EXPECT_EQ(bench.read(kCount), 2u);
  bench.write(kDoorbell, 0);
  EXPECT_EQ(bench.board.next_event(), bench.host.now());
  bench.board.advance_to(bench.host.now());
  EXPECT_EQ(bench.read(kCount), 3u);
  bench.write(kDoorbell, 1);
  bench.write(kControl, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.read(kCount), 3u) << "a card that is disabled does not ring";
}

TEST(PulseCard, OfNineDoorbellsAtATimeTheLastIsLost) {
  Bench bench(every_ten(0));
  bench.write(kControl, kEnabled);
  for (std::uint64_t bell = 1; bell <= 9; ++bell) bench.write(kDoorbell, 10 * bell);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.read(kCount), 8u);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMicrosecond);
  EXPECT_EQ(bench.read(kCount), 9u) << "there is room again";
}

TEST(PulseCard, MessagesAreSentInTurnAndItsLineRests) {
  PulseWish wish = every_ten(5);
  wish.messages = 4;
  Bench bench(wish, 4);
  EXPECT_EQ(bench.board.devices()[0]->messages().kind, MessageOffer::Kind::Msi);
  EXPECT_EQ(bench.board.messages(), 4u);
  bench.write(kControl, kEnabled);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 1, 2, 3, 0}));
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(PulseCard, WithoutAGrantItHasItsLineAndWithOneMessageItSendsThat) {
  PulseWish wish = every_ten(2);
  wish.messages = 4;
  Bench line(wish, 0), one(wish, 1);
  for (Bench* bench : {&line, &one}) {
    bench->write(kControl, kEnabled);
    bench->host.run_for(kMillisecond);
  }
  EXPECT_TRUE(line.host.level[0]);
  EXPECT_TRUE(line.host.messages.empty());
  EXPECT_EQ(one.host.messages, (std::vector<unsigned>{0, 0}));
}

TEST(PulseCard, MessagesThatAreMaskedAreSentOnceAfterwards) {
  PulseWish wish = every_ten(5);
  wish.messages = 2;
  Bench bench(wish, 2);
  bench.write(kControl, kEnabled | kMasked);
  bench.host.run_for(kMillisecond);
  EXPECT_TRUE(bench.host.messages.empty());
  bench.write(kControl, kEnabled);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 1}));
}

TEST(PulseCard, WhatIsOwedWhenItIsDisabledIsNeverSent) {
  PulseWish wish = every_ten(2);
  wish.messages = 2;
  Bench masked(wish, 2);
  masked.write(kControl, kEnabled | kMasked);
  masked.host.run_for(kMillisecond);
  masked.write(kControl, kMasked);
  masked.write(kControl, kEnabled);
  EXPECT_TRUE(masked.host.messages.empty()) << "two were kept";
  masked.host.run_for(5 * kMicrosecond);
  EXPECT_EQ(masked.host.messages, (std::vector<unsigned>{0})) << "of a new pulse";

  wish.duplicate = 1;
  Bench twice(wish, 2);
  twice.write(kControl, kEnabled);
  twice.host.run_to(5 * kMicrosecond);
  twice.write(kControl, 0);
  twice.write(kControl, kEnabled);
  twice.host.run_to(9 * kMicrosecond);
  EXPECT_EQ(twice.host.messages, (std::vector<unsigned>{0})) << "not once more, a microsecond later";
}

TEST(PulseCard, ACardThatWasPulledOutSendsNoMessageAnyMore) {
  PulseWish wish = every_ten();
  wish.messages = 1;
  Bench bench(wish, 1);
  bench.write(kControl, kEnabled);
  bench.host.run_to(5 * kMicrosecond);
  EXPECT_TRUE(bench.board.pull_out(*bench.board.devices()[0]));
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages.size(), 1u);
}

TEST(PulseCard, TwoCardsHaveMessagesOfTheirOwnAndShareALine) {
  CardBoard board;
  PulseWish wish = every_ten(1);
  wish.messages = 2;
  board.add(wish);
  wish.base += 0x1000;
  board.add(wish);
  CardBench host(board);
  board.devices()[0]->grant_messages(0);
  board.devices()[1]->grant_messages(2);
  for (unsigned card : {0u, 1u}) host.write(card, kControl, kEnabled, 4);
  host.run_for(kMillisecond);
  EXPECT_EQ(host.messages, (std::vector<unsigned>{2}));
  EXPECT_TRUE(host.level[0]);
}

TEST(PulseCard, ASpuriousInterruptHasNothingAndItsLineHasFallenAgain) {
  PulseWish wish = every_ten(2);
  wish.spurious = 1;
  Bench bench(wish);
  bench.write(kControl, kEnabled);
  EXPECT_EQ(bench.board.advance_to(4 * kMicrosecond), 2500u) << "it says when";
  EXPECT_EQ(bench.host.rises[0], 1u);
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_EQ(bench.pulse.pulses(), 0u);
  EXPECT_EQ(bench.read(kStatus), 0u);
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
  EXPECT_EQ(bench.read(kStatus), 1u);
  bench.clear();
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
  EXPECT_EQ(bench.host.now(), 15 * kMicrosecond);
  EXPECT_EQ(bench.host.rises[0], 3u) << "once was wished for";
}

TEST(PulseCard, ASpuriousMessageIsTheFirstOneAndHasNothing) {
  PulseWish wish = every_ten(2);
  wish.messages = 2;
  wish.spurious = 2;
  Bench bench(wish, 2);
  bench.write(kControl, kEnabled);
  bench.host.run_to(4 * kMicrosecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0}));
  EXPECT_EQ(bench.read(kStatus), 0u);
  EXPECT_EQ(bench.pulse.pulses(), 0u);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 0, 0, 1})) << "two pulses, 0 and 1, and each time 0 before";
  EXPECT_EQ(bench.host.rises[0], 0u);
}

TEST(PulseCard, WhatIsSpuriousWhileMaskedIsLostOnTheLineAndKeptAsAMessage) {
  PulseWish wish = every_ten(2);
  wish.spurious = 1;
  wish.messages = 2;
  Bench line(wish, 0), message(wish, 2);
  for (Bench* bench : {&line, &message}) {
    bench->write(kControl, kEnabled | kMasked);
    bench->host.run_to(4 * kMicrosecond);
    EXPECT_EQ(bench->host.rises[0], 0u);
    EXPECT_TRUE(bench->host.messages.empty());
    bench->write(kControl, kEnabled);
  }
  EXPECT_EQ(line.host.rises[0], 0u);
  EXPECT_EQ(message.host.messages, (std::vector<unsigned>{0}));
  line.host.run_to(5 * kMicrosecond);
  EXPECT_EQ(line.host.rises[0], 1u);
  line.clear();
  line.host.run_for(kMillisecond);
  EXPECT_EQ(line.host.rises[0], 2u) << "of the two pulses: what was lost is not made up for";
}

TEST(PulseCard, ADuplicateMessageComesAMicrosecondLater) {
  PulseWish wish = every_ten(3);
  wish.messages = 2;
  wish.duplicate = 2;
  Bench bench(wish, 2);
  bench.write(kControl, kEnabled);
  bench.host.run_to(5 * kMicrosecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0}));
  EXPECT_EQ(bench.board.next_event(), 6 * kMicrosecond);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 0, 1, 1, 0}));
  EXPECT_EQ(bench.pulse.pulses(), 3u);
}

TEST(PulseCard, ADeadCardInterruptsALastTimeAndReadsAsAllOnes) {
  PulseWish wish = every_ten();
  wish.dead_after = 2;
  Bench bench(wish);
  bench.write(kControl, kEnabled);
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
  EXPECT_EQ(bench.read(kStatus), 1u);
  bench.clear();
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.rises[0], 2u);
  EXPECT_FALSE(bench.host.level[0]);
  for (Register at : {kStatus, kControl, kCount, kData}) EXPECT_EQ(bench.read(at), kAllOnes);
  bench.write(kControl, kEnabled);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.pulse.pulses(), 2u);
}

TEST(PulseCard, TheMessagesOfADeadCardEndWithItsLastPulse) {
  PulseWish wish = every_ten();
  wish.messages = 2;
  wish.dead_after = 3;
  Bench bench(wish, 2);
  bench.write(kControl, kEnabled);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 1, 0}));
  for (Register at : {kStatus, kControl, kCount, kData}) EXPECT_EQ(bench.read(at), kAllOnes);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages.size(), 3u);
  EXPECT_EQ(bench.host.rises[0], 0u);
}

TEST(PulseCard, TheStatusOfAStuckCardCannotBeClearedFromTheNextPulseOn) {
  PulseWish wish = every_ten(3);
  wish.stuck_after = 2;
  Bench bench(wish);
  bench.write(kControl, kEnabled);
  for (Nanoseconds pulse : {5 * kMicrosecond, 15 * kMicrosecond}) {
    bench.host.run_to(pulse);
    bench.clear();
    EXPECT_EQ(bench.read(kStatus), 0u) << "up to the second one, which has that number";
    EXPECT_FALSE(bench.host.level[0]);
  }
  bench.host.run_to(25 * kMicrosecond);
  bench.clear();
  EXPECT_EQ(bench.read(kStatus), 1u);
  EXPECT_TRUE(bench.host.level[0]);
}

TEST(PulseCard, AStuckCardIsQuietWhileItIsMaskedOrDisabled) {
  PulseWish wish = every_ten(1);
  wish.stuck_after = 0;
  Bench bench(wish);
  bench.write(kControl, kEnabled);
  bench.host.run_to(5 * kMicrosecond);
  bench.clear();
  EXPECT_TRUE(bench.host.level[0]) << "of none the first one is one more";
  for (std::uint64_t control : {kEnabled | kMasked, std::uint64_t{0}}) {
    bench.write(kControl, control);
    EXPECT_FALSE(bench.host.level[0]);
    bench.write(kControl, kEnabled);
    EXPECT_TRUE(bench.host.level[0]) << "and no longer";
  }
}

TEST(PulseCard, ALateInterruptComesBehindItsPulse) {
  PulseWish wish = every_ten(2);
  wish.late = 3 * kMicrosecond;
  wish.messages = 2;
  Bench line(wish, 0), message(wish, 2);
  for (Bench* bench : {&line, &message}) {
    bench->write(kControl, kEnabled);
    bench->host.run_to(7 * kMicrosecond);
    EXPECT_EQ(bench->read(kStatus), 1u) << "who looks sees it";
    EXPECT_FALSE(bench->host.level[0]);
    EXPECT_TRUE(bench->host.messages.empty());
    EXPECT_EQ(bench->board.next_event(), 8 * kMicrosecond);
    bench->host.run_to(8 * kMicrosecond);
  }
  EXPECT_TRUE(line.host.level[0]);
  EXPECT_EQ(message.host.messages, (std::vector<unsigned>{0}));
}

TEST(PulseCard, ALateInterruptOfAPulseThatWasClearedIsNoneOnTheLineAndAMessageAllTheSame) {
  PulseWish wish = every_ten(1);
  wish.late = 3 * kMicrosecond;
  wish.messages = 1;
  Bench line(wish, 0), message(wish, 1);
  for (Bench* bench : {&line, &message}) {
    bench->write(kControl, kEnabled);
    bench->host.run_to(5 * kMicrosecond);
    bench->clear();
    bench->host.run_for(kMillisecond);
  }
  EXPECT_EQ(line.host.rises[0], 0u);
  EXPECT_EQ(message.host.messages, (std::vector<unsigned>{0}));
}

TEST(PulseCard, OfNineLateInterruptsTheLastIsLostAndNoneComesOnceItIsDisabled) {
  PulseWish wish = every_ten(9);
  wish.period = kMicrosecond;
  wish.late = 20 * kMicrosecond;
  wish.messages = 1;
  Bench all(wish, 1), disabled(wish, 1);
  all.write(kControl, kEnabled);
  all.host.run_for(kMillisecond);
  EXPECT_EQ(all.pulse.pulses(), 9u);
  EXPECT_EQ(all.host.messages.size(), 8u);
  disabled.write(kControl, kEnabled);
  disabled.host.run_to(15 * kMicrosecond);
  disabled.write(kControl, 0);
  disabled.host.run_for(kMillisecond);
  EXPECT_TRUE(disabled.host.messages.empty());
}

TEST(PulseCard, TheLastInterruptOfADeadCardIsNotLate) {
  PulseWish wish = every_ten(3);
  wish.late = 3 * kMicrosecond;
  wish.messages = 1;
  wish.dead_after = 1;
  Bench bench(wish, 1);
  bench.write(kControl, kEnabled);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages.size(), 1u);
}

TEST(PulseCard, ALostInterruptIsMadeUpForByTheNextOne) {
  PulseWish wish = every_ten(3);
  wish.lost = 1;
  wish.messages = 2;
  Bench line(wish, 0), message(wish, 2);
  for (Bench* bench : {&line, &message}) {
    bench->write(kControl, kEnabled);
    bench->host.run_to(14 * kMicrosecond);
    EXPECT_EQ(bench->read(kStatus), 1u);
    EXPECT_EQ(bench->host.rises[0], 0u);
    EXPECT_TRUE(bench->host.messages.empty());
    bench->host.run_to(15 * kMicrosecond);
    EXPECT_EQ(bench->read(kCount), 2u);
    bench->host.run_for(kMillisecond);
  }
  EXPECT_TRUE(line.host.level[0]);
  EXPECT_EQ(message.host.messages, (std::vector<unsigned>{1, 0}));
}

TEST(PulseCard, EnabledAnewTheLineIsUpForAPulseThatHadLostItsInterrupt) {
  PulseWish wish = every_ten(1);
  wish.lost = 1;
  Bench bench(wish);
  bench.write(kControl, kEnabled);
  bench.host.run_for(kMillisecond);
  EXPECT_FALSE(bench.host.level[0]);
  bench.write(kControl, 0);
  bench.write(kControl, kEnabled);
  EXPECT_TRUE(bench.host.level[0]);
}

TEST(PulseCard, InAStormTheNextPulseIsThereAsSoonAsOneIsClearedAndTheLineStaysUp) {
  PulseWish wish = every_ten(1);
  wish.storm = 3;
  Bench bench(wish);
  bench.write(kControl, kEnabled);
  bench.host.run_to(5 * kMicrosecond);
  for (std::uint32_t pulse = 0; pulse < 4; ++pulse) {
    EXPECT_TRUE(bench.host.level[0]);
    EXPECT_EQ(bench.read(kCount), pulse + 1);
    EXPECT_EQ(bench.read(kData), Pulse::value(pulse));
    bench.clear();
  }
  EXPECT_EQ(bench.host.rises[0], 1u);
  EXPECT_FALSE(bench.host.level[0]) << "it is over";
  EXPECT_EQ(bench.read(kCount), 4u);
}

TEST(PulseCard, AStormIsOfMessagesTooAndRestsWhileItIsMaskedOrDisabled) {
  PulseWish wish = every_ten(1);
  wish.storm = 5;
  wish.messages = 2;
  Bench message(wish, 2), line(wish, 0);
  for (Bench* bench : {&message, &line}) {
    bench->write(kControl, kEnabled);
    bench->host.run_to(5 * kMicrosecond);
    bench->clear();
  }
  EXPECT_EQ(message.host.messages, (std::vector<unsigned>{0, 1}));
  line.write(kControl, kEnabled | kMasked);
  EXPECT_FALSE(line.host.level[0]);
  line.clear();
  EXPECT_EQ(line.read(kStatus), 1u) << "the next one is there, and asks for nothing";
  EXPECT_FALSE(line.host.level[0]);
  line.write(kControl, kEnabled);
  EXPECT_TRUE(line.host.level[0]);
  line.write(kControl, 0);
  line.clear();
  EXPECT_EQ(line.read(kStatus), 0u);
}

// -- records ---------------------------------------------------------------------------------------------------------------------------------

using Words = std::vector<std::uint32_t>;

struct RingBench : Bench {
  static constexpr std::uint64_t kAt = 0x1000;  // in the memory of the board
  explicit RingBench(PulseWish wish) : Bench(with_ring(wish)) {
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
  Bench none(wish);
  EXPECT_EQ(none.board.dma().size, 0u);
  wish.records = 3;
  Bench nowhere(wish), outside(wish);
  outside.write(kRing, 0xFFFF'FFE0);
  for (Bench* bench : {&nowhere, &outside}) {
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

// What a checkpoint copies is all there is: the same happens again.
TEST(PulseCard, AllOfItIsInTheBoardsState) {
  PulseWish wish = every_ten();
  wish.messages = 2;
  wish.duplicate = 3;
  wish.spurious = 2;
  wish.late = 4 * kMicrosecond;
  wish.lost = 1;
  wish.storm = 1;
  Bench bench(wish, 2);
  bench.write(kControl, kEnabled);
  bench.write(kDoorbell, 17);
  bench.host.run_to(7 * kMicrosecond);
  const std::vector<std::byte> saved(bench.board.state().begin(), bench.board.state().end());
  const auto run_on = [&] {
    bench.host.messages.clear();
    std::vector<Nanoseconds> times;
    for (Nanoseconds at = 7 * kMicrosecond; at < 60 * kMicrosecond;) times.push_back(at = bench.board.advance_to(60 * kMicrosecond));
    bench.clear();
    return std::pair(times, bench.host.messages);
  };
  const auto once = run_on();
  EXPECT_GE(once.second.size(), 8u);
  std::copy(saved.begin(), saved.end(), bench.board.state().begin());
  EXPECT_EQ(run_on(), once);
}

}  // namespace
}  // namespace kdpc::cards
