// The card that interrupts by itself: its pulses, its doorbells, and how it interrupts.
#include "tests/devices/pulse_bench.h"

namespace kdpc::cards {
namespace {

TEST(PulseCard, NothingHappensBeforeItIsEnabled) {
  PulseBench bench(every_ten());
  EXPECT_EQ(bench.board.next_event(), kNever);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.pulse.pulses(), 0u);
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(PulseCard, PulsesComeToTheNanosecondAndEachLeavesItsValue) {
  EnabledPulse bench(every_ten(3));
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

TEST(PulseCard, GoesOnWithoutTheOtherCardsOfItsBoard) {
  CardBoard board;
  const Pulse& one = board.add(PulseWish{.name = "one", .first = 5 * kMicrosecond, .period = kMillisecond});
  const Pulse& other = board.add(PulseWish{.name = "other", .base = 0xFE81'0000, .line = 1, .first = 7 * kMicrosecond, .period = kMillisecond});
  CardBench host(board);
  for (const unsigned device : {0u, 1u}) host.write(device, kControl, kEnabled, 4);
  ASSERT_EQ(board.sources(), 2u);
  EXPECT_EQ(board.source_of(*board.devices()[1]), 1u);
  EXPECT_EQ(board.next_event_of(0), 5 * kMicrosecond);
  EXPECT_EQ(board.next_event_of(1), 7 * kMicrosecond);
  EXPECT_EQ(board.advance_source(1, kMillisecond), 7 * kMicrosecond) << "where its line rises";
  EXPECT_EQ(other.pulses(), 1u);
  EXPECT_TRUE(host.level[1]);
  EXPECT_EQ(one.pulses(), 0u);
  EXPECT_EQ(board.next_event(), 5 * kMicrosecond);
  EXPECT_EQ(board.advance_source(0, kMillisecond), 5 * kMicrosecond);
  EXPECT_TRUE(host.level[0]);
}

TEST(PulseCard, EnabledAnewItBeginsAnew) {
  EnabledPulse bench(every_ten(2));
  bench.host.run_for(kMillisecond);
  bench.write(kControl, 0);
  EXPECT_FALSE(bench.host.level[0]);
  bench.write(kControl, kEnabled);
  EXPECT_TRUE(bench.host.level[0]) << "the pulse is still there";
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.read(kCount), 4u);
}

TEST(PulseCard, AMaskKeepsTheLineDownAndThePulse) {
  EnabledPulse bench(every_ten(1), 0, kEnabled | kMasked);
  bench.host.run_for(kMillisecond);
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_EQ(bench.read(kStatus), 1u);
  EXPECT_EQ(bench.read(kControl), kEnabled | kMasked);
  bench.write(kControl, kEnabled);
  EXPECT_TRUE(bench.host.level[0]);
}

TEST(PulseCard, ADoorbellRingsAfterItsTimeAndAtOnceForZero) {
  EnabledPulse bench(every_ten(0));
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
  EnabledPulse bench(every_ten(0));
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
  PulseBench bench(wish, 4);
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
  EnabledPulse line(wish), one(wish, 1);
  for (EnabledPulse* bench : {&line, &one}) bench->host.run_for(kMillisecond);
  EXPECT_TRUE(line.host.level[0]);
  EXPECT_TRUE(line.host.messages.empty());
  EXPECT_EQ(one.host.messages, (std::vector<unsigned>{0, 0}));
}

TEST(PulseCard, MessagesThatAreMaskedAreSentOnceAfterwards) {
  PulseWish wish = every_ten(5);
  wish.messages = 2;
  EnabledPulse bench(wish, 2, kEnabled | kMasked);
  bench.host.run_for(kMillisecond);
  EXPECT_TRUE(bench.host.messages.empty());
  bench.write(kControl, kEnabled);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 1}));
}

TEST(PulseCard, WhatIsOwedWhenItIsDisabledIsNeverSent) {
  PulseWish wish = every_ten(2);
  wish.messages = 2;
  EnabledPulse masked(wish, 2, kEnabled | kMasked);
  masked.host.run_for(kMillisecond);
  masked.write(kControl, kMasked);
  masked.write(kControl, kEnabled);
  EXPECT_TRUE(masked.host.messages.empty()) << "two were kept";
  masked.host.run_for(5 * kMicrosecond);
  EXPECT_EQ(masked.host.messages, (std::vector<unsigned>{0})) << "of a new pulse";

  wish.duplicate = 1;
  EnabledPulse twice(wish, 2);
  twice.host.run_to(5 * kMicrosecond);
  twice.write(kControl, 0);
  twice.write(kControl, kEnabled);
  twice.host.run_to(9 * kMicrosecond);
  EXPECT_EQ(twice.host.messages, (std::vector<unsigned>{0})) << "not once more, a microsecond later";
}

TEST(PulseCard, ACardThatWasPulledOutSendsNoMessageAnyMore) {
  PulseWish wish = every_ten();
  wish.messages = 1;
  EnabledPulse bench(wish, 1);
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

// What a checkpoint copies is all there is: the same happens again.
TEST(PulseCard, AllOfItIsInTheBoardsState) {
  PulseWish wish = every_ten();
  wish.messages = 2;
  wish.duplicate = 3;
  wish.spurious = 2;
  wish.late = 4 * kMicrosecond;
  wish.lost = 1;
  wish.storm = 1;
  EnabledPulse bench(wish, 2);
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
