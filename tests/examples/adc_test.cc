// The example driver adc: requests one at a time through StartIo, and a card that answers, does not answer, or is gone. Then two cards of different
// drivers on one line.
#include <gmock/gmock.h>
#include <ntddser.h>
#include <wdm.h>

#include "examples/drivers/adc/adc.h"
#include "kdpc/cards.h"
#include "kdpc/test.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using cards::Converter;
using Samples = std::vector<std::uint16_t>;

struct Card {
  explicit Card(lab::Machine& machine, const cards::ConverterWish& wish = {}) : m(machine), converter(board.add(wish)) {
    m.attach(board);
    EXPECT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/adc.drv", why) && m.start_device("adc", "adc", why)) << why;
  }
  void unload() {
    EXPECT_TRUE(m.unload_driver("adc", why)) << why;
    EXPECT_THAT(m.debug_lines(), ::testing::IsEmpty());
  }
  lab::Machine& m;
  cards::CardBoard board;
  Converter& converter;
  std::string why;
};

// Inside.
void set_channel(lab::DeviceFile& file, std::uint8_t channel) {
  KDPC_EXPECT_EQ(file.control(IOCTL_ADC_SET_CHANNEL, &channel, 1).status, STATUS_SUCCESS);
}
void open(lab::DeviceFile& file) { KDPC_EXPECT_EQ(file.open("\\\\.\\Adc0"), STATUS_SUCCESS); }

KDPC_TEST(Adc, ReadsAreMeasuredOneAfterTheOther) {
  Card card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    open(file);
    set_channel(file, 3);
    std::uint16_t samples[4][5] = {};
    lab::PendingIo reads[4];
    for (int i = 0; i < 4; ++i) reads[i] = file.begin_read(samples[i], sizeof samples[i]);
    for (int i = 0; i < 4; ++i) {
      const lab::IoResult result = reads[i].finish();
      KDPC_EXPECT_EQ(result.status, STATUS_SUCCESS);
      KDPC_EXPECT_EQ(result.information, sizeof samples[i]);
      for (int k = 0; k < 5; ++k) KDPC_EXPECT_EQ(samples[i][k], Converter::sample(3, static_cast<std::uint64_t>(5 * i + k)));
    }
    std::uint8_t wrong = ADC_CHANNELS;
    KDPC_EXPECT_EQ(file.control(IOCTL_ADC_SET_CHANNEL, &wrong, 1).status, STATUS_INVALID_PARAMETER);
    KDPC_EXPECT_EQ(file.read(samples, 3).status, STATUS_INVALID_PARAMETER);
    file.close();
  });
  EXPECT_EQ(card.converter.conversions(), 20u);
  card.unload();
}

KDPC_TEST(Adc, WhatWaitsCanBeCancelledAndWhatIsMeasuredEnds) {
  Card card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    open(file);
    std::uint16_t samples[3][100];
    lab::PendingIo reads[3];
    for (int i = 0; i < 3; ++i) reads[i] = file.begin_read(samples[i], sizeof samples[i]);
    KDPC_EXPECT(reads[1].cancel());
    KDPC_EXPECT(!reads[0].cancel());
    KDPC_EXPECT_EQ(reads[1].finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(reads[0].finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(reads[2].finish().status, STATUS_SUCCESS);
    file.close();
  });
  EXPECT_EQ(card.converter.conversions(), 200u);
  card.unload();
}

KDPC_TEST(Adc, AFileThatClosesTakesItsOwnRequestsWithIt) {
  Card card(m);
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile one, two;
    open(one);
    open(two);
    std::uint16_t samples[4][10];
    lab::PendingIo first = one.begin_read(samples[0], 20), second = one.begin_read(samples[1], 20), third = two.begin_read(samples[2], 20),
                   fourth = one.begin_read(samples[3], 20);
    one.close();
    KDPC_EXPECT_EQ(first.finish().status, STATUS_SUCCESS);  // being measured
    KDPC_EXPECT_EQ(second.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(fourth.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(third.finish().status, STATUS_SUCCESS);
    two.close();
  });
  card.unload();
}

KDPC_TEST(Adc, ACardThatDoesNotAnswerTimesOutWithWhatThereIs) {
  Card card(m, {.dead_after = 3});
  static lab::IoResult result;
  m.on(0, PASSIVE_LEVEL, [] {
    lab::DeviceFile file;
    open(file);
    std::uint16_t samples[5];
    result = file.read(samples, sizeof samples);
    file.close();
  });
  EXPECT_EQ(result.status, STATUS_IO_TIMEOUT);
  EXPECT_EQ(result.information, 6u);
  EXPECT_GT(m.now(), 2'000'000'000u);
  EXPECT_LT(m.now(), 4'000'000'000u);
  card.unload();
}

KDPC_TEST(Adc, StoppedOrPulledOutItEndsItsRequests, .processors = 2) {
  Card card(m, {.dead_after = 0});
  static std::int32_t status[2];
  const auto read_two = [] {
    lab::DeviceFile file;
    open(file);
    std::uint16_t samples[2][4];
    lab::PendingIo first = file.begin_read(samples[0], 8), second = file.begin_read(samples[1], 8);
    status[0] = first.finish().status;
    status[1] = second.finish().status;
    file.close();
  };
  for (const bool pulled : {false, true}) {
    const lab::Task task = m.start(1, PASSIVE_LEVEL, read_two);
    m.run_for(5ms);
    EXPECT_TRUE(pulled ? m.surprise_remove_device("adc", card.why) : m.stop_device("adc", card.why)) << card.why;
    EXPECT_TRUE(m.run_until([&] { return task.done(); }, 5s));
    EXPECT_EQ(status[0], pulled ? STATUS_DELETE_PENDING : STATUS_DEVICE_NOT_READY);
    EXPECT_EQ(status[1], STATUS_DEVICE_NOT_READY);
    if (!pulled) {
      EXPECT_TRUE(m.start_device("adc", "adc", card.why)) << card.why;
    }
  }
  card.unload();
}

KDPC_TEST(Adc, PulledOutItIsRemovedWhenItsFileIsClosed) {
  Card card(m);
  const auto keep_open = [] {
    lab::DeviceFile file;
    open(file);
    LARGE_INTEGER time;
    time.QuadPart = -50'000;
    KeDelayExecutionThread(KernelMode, FALSE, &time);
    file.close();
  };
  const auto device_is_there = [&] { return !m.device_names("adc").empty(); };
  const lab::Task task = m.start(0, PASSIVE_LEVEL, keep_open);
  m.run_for(1ms);
  EXPECT_TRUE(m.surprise_remove_device("adc", card.why)) << card.why;
  EXPECT_TRUE(device_is_there());
  EXPECT_FALSE(m.remove_device("adc", card.why));
  EXPECT_THAT(card.why, ::testing::HasSubstr("an application has open"));
  EXPECT_TRUE(m.run_until([&] { return !device_is_there(); }, 1s));
  EXPECT_TRUE(m.remove_device("adc", card.why)) << "again: there is nothing to do";
  card.unload();
}

// -- a line of two drivers ---------------------------------------------------------------------------------------------------------------

struct SharedLine {
  explicit SharedLine(lab::Machine& machine, const cards::ConverterWish& wish = {})
      : m(machine), port(board.add(cards::SerialPortWish{})), converter(board.add(wish)) {
    m.attach(board);
    works = m.load_driver(KDPC_TEST_DRIVERS "/serial.drv", why) && m.load_driver(KDPC_TEST_DRIVERS "/adc.drv", why) &&
            m.start_device("com1", "serial", why) && m.start_device("adc", "adc", why);
    EXPECT_TRUE(works) << why;
    EXPECT_EQ(m.vector_of("com1"), m.vector_of("adc"));
  }
  // How often a service routine was called, and how often it said that it was for it.
  std::pair<unsigned, unsigned> calls(const std::string& routine) const {
    std::pair<unsigned, unsigned> counts{};
    for (const lab::EventRecord& event : m.events("activity-ended"))
      if (m.place_of(event["routine"]).function == routine) ++counts.first, counts.second += static_cast<unsigned>(event["claimed"]);
    return counts;
  }
  lab::Machine& m;
  cards::CardBoard board;
  cards::SerialPort& port;
  Converter& converter;
  std::string why;
  bool works = false;
};

std::string received;
void receive() {
  lab::DeviceFile file;
  KDPC_EXPECT_EQ(file.open("\\\\.\\COM1"), STATUS_SUCCESS);
  const SERIAL_BAUD_RATE rate = {115200};
  KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_SET_BAUD_RATE, &rate, sizeof rate).status, STATUS_SUCCESS);
  char buffer[1000];
  const lab::IoResult result = file.read(buffer, sizeof buffer);
  KDPC_EXPECT_EQ(result.status, STATUS_SUCCESS);
  received.assign(buffer, result.information);
  file.close();
}
void measure() {
  lab::DeviceFile file;
  open(file);
  std::uint16_t samples[1000];
  KDPC_EXPECT_EQ(file.read(samples, sizeof samples).status, STATUS_SUCCESS);
  for (unsigned i = 0; i < 1000; ++i) KDPC_EXPECT_EQ(samples[i], Converter::sample(0, i));
  file.close();
}

KDPC_TEST(SharedLine, EachDriverServesItsOwnCardAndSaysFalseToTheOthers, .processors = 2) {
  RULE("INT-14");
  RULE("INT-16");
  SharedLine line(m);
  const std::string sent(1000, 'x');
  const lab::Task receives = m.start(0, PASSIVE_LEVEL, receive), measures = m.start(1, PASSIVE_LEVEL, measure);
  m.run_for(1ms);
  line.port.send(sent);
  EXPECT_TRUE(m.run_until([&] { return receives.done() && measures.done(); }, 10s));
  EXPECT_EQ(received, sent);
  EXPECT_EQ(line.converter.conversions(), 1000u);
  const auto [serial_calls, serial_claims] = line.calls("SerialIsr");
  const auto [adc_calls, adc_claims] = line.calls("AdcIsr");
  EXPECT_EQ(adc_claims, 1000u);
  EXPECT_GT(serial_claims, 1000u / 16);
  EXPECT_LT(serial_claims, 500u);
  // The one that was connected first is asked first, and the other only if that said no.
  EXPECT_EQ(adc_calls, serial_calls - serial_claims);
  EXPECT_GE(serial_calls, serial_claims + 1000u);
  EXPECT_TRUE(m.unload_driver("serial", line.why)) << line.why;
  EXPECT_TRUE(m.unload_driver("adc", line.why)) << line.why;
  EXPECT_THAT(m.debug_lines(), ::testing::IsEmpty());
}

KDPC_TEST(SharedLine, ACardThatIsPulledOutLeavesTheLineToTheOther) {
  SharedLine line(m);
  const lab::Task receives = m.start(0, PASSIVE_LEVEL, receive);
  m.run_for(1ms);
  EXPECT_TRUE(m.surprise_remove_device("adc", line.why)) << line.why;
  EXPECT_TRUE(m.unload_driver("adc", line.why)) << line.why;
  line.port.send(std::string(1000, 'y'));
  EXPECT_TRUE(m.run_until([&] { return receives.done(); }, 10s));
  EXPECT_EQ(received, std::string(1000, 'y'));
  EXPECT_TRUE(m.unload_driver("serial", line.why)) << line.why;
}

// It would have had a sample, and asked for an interrupt, a little later.
KDPC_TEST(SharedLine, ACardThatIsPulledOutWhileItWorksAsksForNothingMore, .options = {{"storm_dispatches", "100"}}) {
  RULE("PNP-1");
  SharedLine line(m);
  const auto convert = [] {
    lab::DeviceFile file;
    open(file);
    std::uint16_t sample;
    file.read(&sample, sizeof sample);
    file.close();
  };
  const lab::Task receives = m.start(0, PASSIVE_LEVEL, receive), converts = m.start(0, PASSIVE_LEVEL, convert);
  m.run_for(20us);
  EXPECT_EQ(line.converter.conversions(), 0u);
  EXPECT_TRUE(m.surprise_remove_device("adc", line.why)) << line.why;
  EXPECT_TRUE(m.run_until([&] { return converts.done(); }, 5s));
  line.port.send(std::string(1000, 'y'));
  EXPECT_TRUE(m.run_until([&] { return receives.done(); }, 10s));
  EXPECT_EQ(received, std::string(1000, 'y'));
  EXPECT_TRUE(m.unload_driver("adc", line.why)) << line.why;
  EXPECT_TRUE(m.unload_driver("serial", line.why)) << line.why;
}

KDPC_TEST(SharedLine, ACardThatNeverGetsQuietIsAStorm) {
  RULE("INT-18");
  SharedLine line(m, {.stuck_after = 10});
  m.start(0, PASSIVE_LEVEL, measure);
  m.run_for(30s);
  // The first routine of the chain, its context, its interrupt object; and that there is a chain.
  EXPECT_BUGCHECK(0xF2, kdpc::test::any, kdpc::test::any, kdpc::test::any, 2);
  ASSERT_TRUE(m.outcome().bugcheck);
  EXPECT_EQ(m.outcome().bugcheck->parameter_places[0].function, "SerialIsr");
  EXPECT_EQ(line.converter.conversions(), 11u);
}

}  // namespace
}  // namespace kdpc
