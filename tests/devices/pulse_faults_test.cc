// The card that interrupts by itself, as it misbehaves when that is wished for.
#include "tests/devices/pulse_bench.h"

namespace kdpc::cards {
namespace {

// The same card twice: with its line, and with the messages that it wishes for.
struct Both {
  explicit Both(const PulseWish& wish, std::uint64_t control = kEnabled) : line(wish, 0, control), message(wish, wish.messages, control) {}
  template <class Use>
  void each(const Use& use) {
    use(line);
    use(message);
  }
  EnabledPulse line, message;
};

TEST(PulseFaults, ASpuriousInterruptHasNothingAndItsLineHasFallenAgain) {
  PulseWish wish = every_ten(2);
  wish.spurious = 1;
  EnabledPulse bench(wish);
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

TEST(PulseFaults, ASpuriousMessageIsTheFirstOneAndHasNothing) {
  PulseWish wish = every_ten(2);
  wish.messages = 2;
  wish.spurious = 2;
  EnabledPulse bench(wish, 2);
  bench.host.run_to(4 * kMicrosecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0}));
  EXPECT_EQ(bench.read(kStatus), 0u);
  EXPECT_EQ(bench.pulse.pulses(), 0u);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 0, 0, 1})) << "two pulses, 0 and 1, and each time 0 before";
  EXPECT_EQ(bench.host.rises[0], 0u);
}

TEST(PulseFaults, WhatIsSpuriousWhileMaskedIsLostOnTheLineAndKeptAsAMessage) {
  PulseWish wish = every_ten(2);
  wish.spurious = 1;
  wish.messages = 2;
  Both both(wish, kEnabled | kMasked);
  both.each([](EnabledPulse& bench) {
    bench.host.run_to(4 * kMicrosecond);
    EXPECT_EQ(bench.host.rises[0], 0u);
    EXPECT_TRUE(bench.host.messages.empty());
    bench.write(kControl, kEnabled);
  });
  EXPECT_EQ(both.line.host.rises[0], 0u);
  EXPECT_EQ(both.message.host.messages, (std::vector<unsigned>{0}));
  both.line.host.run_to(5 * kMicrosecond);
  EXPECT_EQ(both.line.host.rises[0], 1u);
  both.line.clear();
  both.line.host.run_for(kMillisecond);
  EXPECT_EQ(both.line.host.rises[0], 2u) << "of the two pulses: what was lost is not made up for";
}

TEST(PulseFaults, ADuplicateMessageComesAMicrosecondLater) {
  PulseWish wish = every_ten(3);
  wish.messages = 2;
  wish.duplicate = 2;
  EnabledPulse bench(wish, 2);
  bench.host.run_to(5 * kMicrosecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0}));
  EXPECT_EQ(bench.board.next_event(), 6 * kMicrosecond);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 0, 1, 1, 0}));
  EXPECT_EQ(bench.pulse.pulses(), 3u);
}

TEST(PulseFaults, ADeadCardInterruptsALastTimeAndReadsAsAllOnes) {
  PulseWish wish = every_ten();
  wish.dead_after = 2;
  EnabledPulse bench(wish);
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
  EXPECT_EQ(bench.read(kStatus), 1u);
  bench.clear();
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.rises[0], 2u);
  EXPECT_FALSE(bench.host.level[0]);
  for (PulseRegister at : {kStatus, kControl, kCount, kData}) EXPECT_EQ(bench.read(at), kAllOnes);
  bench.write(kControl, kEnabled);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.pulse.pulses(), 2u);
}

TEST(PulseFaults, TheMessagesOfADeadCardEndWithItsLastPulse) {
  PulseWish wish = every_ten();
  wish.messages = 2;
  wish.dead_after = 3;
  EnabledPulse bench(wish, 2);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages, (std::vector<unsigned>{0, 1, 0}));
  for (PulseRegister at : {kStatus, kControl, kCount, kData}) EXPECT_EQ(bench.read(at), kAllOnes);
  bench.write(kDoorbell, 0);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages.size(), 3u);
  EXPECT_EQ(bench.host.rises[0], 0u);
}

TEST(PulseFaults, TheStatusOfAStuckCardCannotBeClearedFromTheNextPulseOn) {
  PulseWish wish = every_ten(3);
  wish.stuck_after = 2;
  EnabledPulse bench(wish);
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

TEST(PulseFaults, AStuckCardIsQuietWhileItIsMaskedOrDisabled) {
  PulseWish wish = every_ten(1);
  wish.stuck_after = 0;
  EnabledPulse bench(wish);
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

TEST(PulseFaults, ALateInterruptComesBehindItsPulse) {
  PulseWish wish = every_ten(2);
  wish.late = 3 * kMicrosecond;
  wish.messages = 2;
  Both both(wish);
  both.each([](EnabledPulse& bench) {
    bench.host.run_to(7 * kMicrosecond);
    EXPECT_EQ(bench.read(kStatus), 1u) << "who looks sees it";
    EXPECT_FALSE(bench.host.level[0]);
    EXPECT_TRUE(bench.host.messages.empty());
    EXPECT_EQ(bench.board.next_event(), 8 * kMicrosecond);
    bench.host.run_to(8 * kMicrosecond);
  });
  EXPECT_TRUE(both.line.host.level[0]);
  EXPECT_EQ(both.message.host.messages, (std::vector<unsigned>{0}));
}

TEST(PulseFaults, ALateInterruptOfAPulseThatWasClearedIsNoneOnTheLineAndAMessageAllTheSame) {
  PulseWish wish = every_ten(1);
  wish.late = 3 * kMicrosecond;
  wish.messages = 1;
  Both both(wish);
  both.each([](EnabledPulse& bench) {
    bench.host.run_to(5 * kMicrosecond);
    bench.clear();
    bench.host.run_for(kMillisecond);
  });
  EXPECT_EQ(both.line.host.rises[0], 0u);
  EXPECT_EQ(both.message.host.messages, (std::vector<unsigned>{0}));
}

TEST(PulseFaults, OfNineLateInterruptsTheLastIsLostAndNoneComesOnceItIsDisabled) {
  PulseWish wish = every_ten(9);
  wish.period = kMicrosecond;
  wish.late = 20 * kMicrosecond;
  wish.messages = 1;
  EnabledPulse all(wish, 1), disabled(wish, 1);
  all.host.run_for(kMillisecond);
  EXPECT_EQ(all.pulse.pulses(), 9u);
  EXPECT_EQ(all.host.messages.size(), 8u);
  disabled.host.run_to(15 * kMicrosecond);
  disabled.write(kControl, 0);
  disabled.host.run_for(kMillisecond);
  EXPECT_TRUE(disabled.host.messages.empty());
}

TEST(PulseFaults, TheLastInterruptOfADeadCardIsNotLate) {
  PulseWish wish = every_ten(3);
  wish.late = 3 * kMicrosecond;
  wish.messages = 1;
  wish.dead_after = 1;
  EnabledPulse bench(wish, 1);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.host.messages.size(), 1u);
}

TEST(PulseFaults, ALostInterruptIsMadeUpForByTheNextOne) {
  PulseWish wish = every_ten(3);
  wish.lost = 1;
  wish.messages = 2;
  Both both(wish);
  both.each([](EnabledPulse& bench) {
    bench.host.run_to(14 * kMicrosecond);
    EXPECT_EQ(bench.read(kStatus), 1u);
    EXPECT_EQ(bench.host.rises[0], 0u);
    EXPECT_TRUE(bench.host.messages.empty());
    bench.host.run_to(15 * kMicrosecond);
    EXPECT_EQ(bench.read(kCount), 2u);
    bench.host.run_for(kMillisecond);
  });
  EXPECT_TRUE(both.line.host.level[0]);
  EXPECT_EQ(both.message.host.messages, (std::vector<unsigned>{1, 0}));
}

TEST(PulseFaults, EnabledAnewTheLineIsUpForAPulseThatHadLostItsInterrupt) {
  PulseWish wish = every_ten(1);
  wish.lost = 1;
  EnabledPulse bench(wish);
  bench.host.run_for(kMillisecond);
  EXPECT_FALSE(bench.host.level[0]);
  bench.write(kControl, 0);
  bench.write(kControl, kEnabled);
  EXPECT_TRUE(bench.host.level[0]);
}

TEST(PulseFaults, InAStormTheNextPulseIsThereAsSoonAsOneIsClearedAndTheLineStaysUp) {
  PulseWish wish = every_ten(1);
  wish.storm = 3;
  EnabledPulse bench(wish);
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

TEST(PulseFaults, AStormIsOfMessagesTooAndRestsWhileItIsMaskedOrDisabled) {
  PulseWish wish = every_ten(1);
  wish.storm = 5;
  wish.messages = 2;
  Both both(wish);
  both.each([](EnabledPulse& bench) {
    bench.host.run_to(5 * kMicrosecond);
    bench.clear();
  });
  EXPECT_EQ(both.message.host.messages, (std::vector<unsigned>{0, 1}));
  both.line.write(kControl, kEnabled | kMasked);
  EXPECT_FALSE(both.line.host.level[0]);
  both.line.clear();
  EXPECT_EQ(both.line.read(kStatus), 1u) << "the next one is there, and asks for nothing";
  EXPECT_FALSE(both.line.host.level[0]);
  both.line.write(kControl, kEnabled);
  EXPECT_TRUE(both.line.host.level[0]);
  both.line.write(kControl, 0);
  both.line.clear();
  EXPECT_EQ(both.line.read(kStatus), 0u);
}

}  // namespace
}  // namespace kdpc::cards
