// The UART against its data sheet.
#include "tests/devices/card_bench.h"

namespace kdpc::cards {
namespace {

using U = Uart16550;

TEST(Uart16550, AfterAResetNothingIsEnabledAndTheTransmitterIsEmpty) {
  PortBench bench;
  EXPECT_EQ(bench.read(U::kInterruptEnable), 0x00);
  EXPECT_EQ(bench.read(U::kIdentification), 0x01);
  EXPECT_EQ(bench.read(U::kLineControl), 0x00);
  EXPECT_EQ(bench.read(U::kModemControl), 0x00);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x60);
  EXPECT_EQ(bench.read(U::kModemStatus), 0xB0);  // the far end is there, and does not ring
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(Uart16550, TheDivisorLatchHidesTheFirstTwoRegistersAndTheScratchRegisterKeepsWhatItIsGiven) {
  PortBench bench;
  bench.write(U::kScratch, 0xA5);
  bench.write(U::kInterruptEnable, 0xFF);
  bench.set_divisor(0x1234, 0x1B);
  EXPECT_EQ(bench.read(U::kInterruptEnable), 0x0F);  // four bits exist
  bench.write(U::kLineControl, 0x9B);
  EXPECT_EQ(bench.read(0), 0x34);
  EXPECT_EQ(bench.read(1), 0x12);
  EXPECT_EQ(bench.read(U::kScratch), 0xA5);
  EXPECT_EQ(bench.read(U::kLineControl), 0x9B);
}

struct Timing {
  unsigned divisor, line_control;
  double bits;
};
class Uart16550Timing : public testing::TestWithParam<Timing> {};

// (start + data + parity + stop) / baud.
TEST_P(Uart16550Timing, ACharacterTakesItsBitsAtItsRate) {
  const Timing& timing = GetParam();
  PortBench bench;
  bench.set_divisor(timing.divisor, timing.line_control);
  bench.port.speak({.baud = 115200 / timing.divisor});
  const double expected = timing.bits * 1e9 * 16 * timing.divisor / 1'843'200;
  bench.write(U::kData, 0x55);
  bench.write(U::kData, 0x55);
  while ((bench.read(U::kLineStatus) & U::kTransmitterEmpty) == 0) bench.host.run_for(100);
  EXPECT_NEAR(static_cast<double>(bench.host.now()), 2 * expected, 1000);
}
INSTANTIATE_TEST_SUITE_P(Formats, Uart16550Timing,
                         testing::Values(Timing{1, 0x03, 10}, Timing{1, 0x02, 9}, Timing{1, 0x07, 11}, Timing{12, 0x0B, 11}, Timing{1, 0x00, 7},
                                         Timing{1, 0x04, 7.5}, Timing{96, 0x1A, 10}));

TEST(Uart16550, ACharacterArrivesOneCharacterTimeAfterItsStartBit) {
  PortBench bench;
  bench.start(U::kReceived, 0x00);
  bench.port.send("x");
  bench.host.run_for(kCharacter - 1);
  EXPECT_EQ(bench.read(U::kLineStatus) & U::kDataReady, 0);
  bench.host.run_for(1);
  EXPECT_TRUE(bench.host.level[0]);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x61);
  EXPECT_EQ(bench.cause(), U::kReceivedData);
  EXPECT_EQ(bench.read(U::kData), 'x');
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_EQ(bench.cause(), U::kNone);
}

class Uart16550Trigger : public testing::TestWithParam<std::pair<unsigned, unsigned>> {};
TEST_P(Uart16550Trigger, TheFifoInterruptsAtItsLevelAndIsQuietBelowIt) {
  const auto [bits, level] = GetParam();
  PortBench bench;
  bench.start(U::kReceived, bits | 0x07);
  bench.port.send("0123456789abcdef");
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond * 10));
  EXPECT_EQ(bench.host.now(), level * kCharacter);
  EXPECT_EQ(bench.read(U::kIdentification), 0xC0 | U::kReceivedData);
  EXPECT_EQ(bench.read(U::kData), '0');
  EXPECT_FALSE(bench.host.level[0]);
}
INSTANTIATE_TEST_SUITE_P(Levels, Uart16550Trigger,
                         testing::Values(std::pair{0x00u, 1u}, std::pair{0x40u, 4u}, std::pair{0x80u, 8u}, std::pair{0xC0u, 14u}));

TEST(Uart16550, WhatLiesBelowTheLevelForFourCharacterTimesIsATimeOut) {
  PortBench bench;
  bench.start(U::kReceived);
  bench.port.send("abc");
  bench.host.run_to(3 * kCharacter);
  bench.host.run_for(4 * kCharacter - 1);
  EXPECT_FALSE(bench.host.level[0]);
  bench.host.run_for(1);
  EXPECT_TRUE(bench.host.level[0]);
  EXPECT_EQ(bench.cause(), U::kTimeout);
  EXPECT_EQ(bench.read(U::kData), 'a');  // ends it, and what remains has four more character times
  EXPECT_FALSE(bench.host.level[0]);
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond * 10));
  EXPECT_EQ(bench.host.now(), 11 * kCharacter);
  EXPECT_EQ(bench.take_all(), "bc");
  bench.host.run_for(20 * kCharacter);
  EXPECT_FALSE(bench.host.level[0]);
}

TEST(Uart16550, AFullFifoKeepsWhatItHasAndTheNextCharacterIsLost) {
  PortBench bench;
  bench.start(U::kReceived | U::kLineStatusChanged);
  bench.port.send("0123456789abcdefghi");
  bench.host.run_to(16 * kCharacter);
  EXPECT_EQ(bench.cause(), U::kReceivedData);
  bench.host.run_to(19 * kCharacter);
  EXPECT_EQ(bench.cause(), U::kLine);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x63);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x61);  // reading takes the error back
  EXPECT_EQ(bench.cause(), U::kReceivedData);
  EXPECT_EQ(bench.take_all(), "0123456789abcdef");
  const auto overruns = bench.port.overruns();
  ASSERT_EQ(overruns.size(), 3u);
  EXPECT_EQ(overruns[0].number, 16u);
  EXPECT_EQ(overruns[0].when, 17 * kCharacter);
  EXPECT_EQ(overruns[2].number, 18u);
}

TEST(Uart16550, WithoutFifosTheNewCharacterTakesTheOldOnesPlace) {
  PortBench bench;
  bench.start(U::kReceived, 0x00);
  EXPECT_EQ(bench.read(U::kIdentification) & 0xC0, 0);
  bench.port.send("xyz");
  bench.host.run_to(3 * kCharacter);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x63);
  EXPECT_EQ(bench.read(U::kData), 'z');
  ASSERT_EQ(bench.port.overruns().size(), 2u);
  EXPECT_EQ(bench.port.overruns()[0].number, 0u);
  EXPECT_EQ(bench.port.overruns()[1].number, 1u);
}

TEST(Uart16550, ErrorsBelongToTheirCharacterAndAreToldWhenItIsNext) {
  PortBench bench;
  bench.start(U::kReceived | U::kLineStatusChanged);
  bench.set_divisor(1, 0x1B);  // even parity
  bench.port.speak({.parity = Parity::Even});
  bench.port.send("a");
  bench.port.send("b", 0, SerialPort::Defect::Parity);
  bench.port.send("c", 0, SerialPort::Defect::StopBit);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.read(U::kLineStatus), 0xE1);  // something in the FIFO is wrong, but not the first
  EXPECT_EQ(bench.cause(), U::kTimeout);
  EXPECT_EQ(bench.read(U::kData), 'a');
  EXPECT_EQ(bench.cause(), U::kLine);
  EXPECT_EQ(bench.read(U::kLineStatus), 0xE5);
  EXPECT_EQ(bench.read(U::kLineStatus), 0xE1);  // the third is still to come
  EXPECT_EQ(bench.read(U::kData), 'b');
  EXPECT_EQ(bench.read(U::kLineStatus), 0xE9);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x61);
  EXPECT_EQ(bench.read(U::kData), 'c');
}

TEST(Uart16550, ABreakIsOneZeroHoweverLongItLasts) {
  PortBench bench;
  bench.start(U::kReceived | U::kLineStatusChanged);
  bench.port.send_break(5 * kMillisecond);
  bench.port.send("x");
  ASSERT_TRUE(bench.host.run_until_line(0, 2 * kMillisecond));
  EXPECT_EQ(bench.host.now(), kCharacter);
  EXPECT_EQ(bench.read(U::kLineStatus) & 0x1F, U::kBreak | U::kFramingError | U::kDataReady);
  EXPECT_EQ(bench.read(U::kData), 0);
  bench.host.run_to(5 * kMillisecond);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x60);
  bench.host.run_to(6 * kMillisecond);
  EXPECT_EQ(bench.take_all(), "x");
}

TEST(Uart16550, ASenderOfAnotherRateIsMisunderstood) {
  PortBench bench({.far = {.baud = 9600}});
  bench.start(U::kReceived | U::kLineStatusChanged);
  bench.port.send("x");  // its start bit alone is longer than a character here
  ASSERT_TRUE(bench.host.run_until_line(0, kMillisecond));
  EXPECT_EQ(bench.read(U::kLineStatus) & U::kFramingError, U::kFramingError);
}

TEST(Uart16550, TheEmptyTransmitterInterruptsUntilThatIsReadOrSomethingIsWritten) {
  PortBench bench;
  bench.start(0);
  bench.write(U::kInterruptEnable, U::kHoldingEmptied);
  EXPECT_TRUE(bench.host.level[0]);  // at once
  EXPECT_EQ(bench.cause(), U::kHolding);
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_EQ(bench.cause(), U::kNone);

  for (const char each : std::string("0123456789abcdefg")) bench.write(U::kData, static_cast<std::uint8_t>(each));  // one goes on at once
  EXPECT_EQ(bench.read(U::kLineStatus) & 0x60, 0);
  bench.write(U::kData, '!');  // there is no room, and it is lost
  ASSERT_TRUE(bench.host.run_until_line(0, 10 * kMillisecond));
  EXPECT_EQ(bench.host.now(), 16 * kCharacter);  // the last one has just begun
  EXPECT_EQ(bench.read(U::kLineStatus) & 0x60, U::kHoldingEmpty);
  bench.write(U::kData, 'h');
  EXPECT_FALSE(bench.host.level[0]);
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.port.received_text(), "0123456789abcdefgh");
  EXPECT_EQ(bench.read(U::kLineStatus) & 0x60, 0x60);
}

TEST(Uart16550, ACharacterUnderWayIsNotChangedByTheFormatOfTheNext) {
  PortBench bench;
  bench.start(0);
  bench.write(U::kData, 0xA5);
  bench.set_divisor(0, 0x00);  // no clock any more, but this one has had its bits
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.port.received_text(), "\xA5");
  bench.write(U::kData, 0x5A);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.port.received_text(), "\xA5");
  bench.set_divisor(1, 0x03);
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.port.received().size(), 2u);
}

TEST(Uart16550, CausesAreNamedByUrgency) {
  PortBench bench;
  bench.start(0x0F, 0x01);
  bench.port.send("ab", 0, SerialPort::Defect::StopBit);
  bench.port.set_modem_lines(0);
  bench.host.run_for(2 * kCharacter);
  EXPECT_EQ(bench.cause(), U::kLine);
  bench.read(U::kLineStatus);
  EXPECT_EQ(bench.cause(), U::kReceivedData);
  bench.read(U::kData);
  bench.read(U::kLineStatus);
  bench.read(U::kData);
  EXPECT_EQ(bench.cause(), U::kHolding);  // and reading it is enough
  EXPECT_EQ(bench.cause(), U::kModem);
  EXPECT_EQ(bench.read(U::kModemStatus), 0x0B);
  EXPECT_EQ(bench.cause(), U::kNone);
}

TEST(Uart16550, ModemChangesAreKeptUntilTheyAreReadAndOfTheRingOnlyItsEnd) {
  PortBench bench;
  bench.start(U::kModemStatusChanged);
  bench.port.set_modem_lines(SerialPort::kCts | SerialPort::kDsr | SerialPort::kCarrier | SerialPort::kRing);
  EXPECT_FALSE(bench.host.level[0]);
  bench.port.set_modem_lines(SerialPort::kCts);
  EXPECT_TRUE(bench.host.level[0]);
  EXPECT_EQ(bench.read(U::kModemStatus), 0x1E);
  EXPECT_FALSE(bench.host.level[0]);
  EXPECT_EQ(bench.read(U::kModemStatus), 0x10);
}

TEST(Uart16550, InLoopBackItHearsItselfAndItsOutputsAreItsInputs) {
  PortBench bench;
  bench.start(U::kReceived | U::kModemStatusChanged, 0x01);
  EXPECT_TRUE(bench.port.data_terminal_ready());
  bench.write(U::kModemControl, U::kLoop | U::kRts | U::kOut1);
  EXPECT_FALSE(bench.port.data_terminal_ready());
  EXPECT_EQ(bench.read(U::kModemStatus), SerialPort::kCts | SerialPort::kRing | 0x0A);
  bench.write(U::kModemControl, U::kLoop | U::kDtr);
  EXPECT_EQ(bench.read(U::kModemStatus), SerialPort::kDsr | 0x07);
  bench.port.send("far");
  bench.write(U::kData, 'n');
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.take_all(), "n");
  EXPECT_EQ(bench.port.received_text(), "");
}

TEST(Uart16550, FifoControlEmptiesWhatItIsToldAndSwitchingFifosEmptiesBoth) {
  PortBench bench;
  bench.start(0);
  bench.port.send("abc");
  bench.host.run_for(kMillisecond);
  for (int i = 0; i < 5; ++i) bench.write(U::kData, 's');
  bench.write(U::kFifoControl, 0x03);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x00);
  bench.write(U::kFifoControl, 0x05);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x20);  // the one in the shift register goes out
  bench.host.run_for(kMillisecond);
  EXPECT_EQ(bench.port.received_text(), "s");
  bench.port.send("de");
  bench.host.run_for(kMillisecond);
  bench.write(U::kFifoControl, 0x00);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x60);
  bench.write(U::kFifoControl, 0xC6);  // without bit 0 nothing else counts
  EXPECT_EQ(bench.read(U::kIdentification), 0x01);
}

TEST(Uart16550, ABreakIsSeenAtTheFarEnd) {
  PortBench bench;
  bench.start(0);
  bench.write(U::kLineControl, 0x43);
  EXPECT_TRUE(bench.port.sees_break());
  bench.host.run_for(kMillisecond);
  bench.write(U::kLineControl, 0x03);
  EXPECT_FALSE(bench.port.sees_break());
  ASSERT_EQ(bench.port.received().size(), 1u);
  EXPECT_TRUE(bench.port.received()[0].is_break);
}

TEST(Uart16550, WithoutOut2NoInterruptReachesThePcsLine) {
  PortBench bench;
  bench.start(U::kHoldingEmptied);
  EXPECT_TRUE(bench.host.level[0]);
  bench.write(U::kModemControl, 0);
  EXPECT_FALSE(bench.host.level[0]);
  PortBench ungated({.out2_gates_interrupt = false});
  ungated.write(U::kInterruptEnable, U::kHoldingEmptied);
  EXPECT_TRUE(ungated.host.level[0]);
}

TEST(SerialPort, AFarEndThatObeysRtsWaitsForIt) {
  PortBench bench({.obeys_rts = true});
  bench.start(U::kReceived);
  bench.write(U::kModemControl, U::kOut2);
  bench.port.send("xy");
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.read(U::kLineStatus), 0x60);
  bench.write(U::kModemControl, U::kOut2 | U::kRts);
  bench.host.run_for(kCharacter + kMicrosecond);
  bench.write(U::kModemControl, U::kOut2);  // the second is under way
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.take_all(), "xy");
  EXPECT_EQ(bench.port.left_to_send(), 0u);
}

TEST(SerialPort, AFarEndThatWaitsForRoomOverrunsNothingAndGoesOnWhenThereIsSome) {
  PortBench bench({.waits_for_room = true});
  bench.port.send("0123456789abcdefghij");
  bench.host.run_for(10 * kMillisecond);  // no clock yet: on other lines these would be gone
  EXPECT_EQ(bench.port.left_to_send(), 20u);
  bench.start(U::kReceived);
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.port.left_to_send(), 4u);
  EXPECT_EQ(bench.read(U::kData), '0');
  bench.host.run_for(kCharacter - kMicrosecond);
  EXPECT_EQ(bench.port.left_to_send(), 4u);  // it began when there was room, and is not there before its time
  bench.host.run_for(2 * kMicrosecond);
  EXPECT_EQ(bench.port.left_to_send(), 3u);
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.take_all(), "123456789abcdefg");
  bench.host.run_for(10 * kMillisecond);
  EXPECT_EQ(bench.take_all(), "hij");
  EXPECT_EQ(bench.read(U::kLineStatus) & U::kOverrunError, 0);
  EXPECT_TRUE(bench.port.overruns().empty());
}

TEST(SerialPort, TheFarEndLeavesGapsAndWaitsForItsTime) {
  PortBench bench({.gap = kMillisecond});
  bench.start(0);
  bench.port.send("xy", 5 * kMillisecond);
  bench.host.run_to(5 * kMillisecond + kCharacter);
  EXPECT_EQ(bench.take_all(), "x");
  bench.host.run_to(6 * kMillisecond + 2 * kCharacter);
  EXPECT_EQ(bench.take_all(), "y");
}

TEST(SerialPort, GoingBackToACopyOfItsStateLeadsThroughTheSameAgain) {
  PortBench bench;
  bench.start(U::kReceived);
  bench.port.send("0123456789abcdefghijklmnop");
  for (int i = 0; i < 10; ++i) bench.write(U::kData, 'A' + static_cast<unsigned>(i));
  bench.host.run_for(3 * kCharacter + 5);
  const auto state = bench.board.state();
  const std::vector<std::byte> copy(state.begin(), state.end());
  const Nanoseconds next = bench.board.next_event();
  const auto finish = [&] {
    for (Nanoseconds at = next; (at = bench.board.next_event()) != kNever;) (void)bench.board.advance_to(at);
    return bench.port.received_text() + "/" + std::to_string(bench.port.overruns().size()) + "/" + std::to_string(bench.port.overruns()[0].when);
  };
  const std::string first = finish();
  std::memcpy(state.data(), copy.data(), copy.size());
  EXPECT_EQ(bench.port.received_text(), "ABC");
  EXPECT_EQ(bench.board.next_event(), next);
  EXPECT_EQ(finish(), first);
}

TEST(CardBoard, CardsOfOneLineAssertItTogether) {
  CardBoard board;
  board.add(ConverterWish{.name = "one", .base = 0x1000});
  board.add(ConverterWish{.name = "two", .base = 0x2000});
  board.add(ConverterWish{.name = "three", .base = 0x3000, .line = 1});
  CardBench bench(board);
  ASSERT_EQ(board.lines(), 2u);
  for (unsigned card = 0; card < 3; ++card) {
    bench.write(card, 0, 1, 4);
    bench.write(card, 4, card, 4);
  }
  bench.run_for(50 * kMicrosecond);
  EXPECT_TRUE(bench.level[0] && bench.level[1]);
  EXPECT_EQ(bench.read(1, 12, 4), Converter::sample(1, 0));
  bench.write(0, 8, 1, 4);
  EXPECT_TRUE(bench.level[0]);
  bench.write(1, 8, 1, 4);
  EXPECT_FALSE(bench.level[0]);
  EXPECT_TRUE(bench.level[1]);
}

TEST(Converter, CanDieOrGetStuckAfterSoManyConversions) {
  CardBoard board;
  board.add(ConverterWish{.name = "dead", .dead_after = 1});
  board.add(ConverterWish{.name = "stuck", .base = 0x2000, .line = 1, .stuck_after = 1});
  CardBench bench(board);
  for (int round = 0; round < 2; ++round)
    for (unsigned card = 0; card < 2; ++card) {
      bench.write(card, 0, 1, 4);
      bench.write(card, 4, 0, 4);
      bench.run_for(kMillisecond);
      EXPECT_EQ(bench.level[card], round == 0 || card == 1);
      bench.write(card, 8, 1, 4);
      EXPECT_EQ(bench.level[card], round == 1 && card == 1);
    }
  EXPECT_EQ(bench.read(0, 8, 4), 2u);  // busy for ever
}

}  // namespace
}  // namespace kdpc::cards
