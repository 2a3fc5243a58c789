// The example driver serial when characters come faster than they are taken, and when its port stops, sleeps or goes away.
#include "tests/examples/serial_port.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using namespace test::serial;

// -- what does not fit -----------------------------------------------------------------------------------------------------------------------

void drain(std::string& got, File& file) {
  for (Read piece = read(file, 200); piece.status == STATUS_SUCCESS || !piece.text.empty(); piece = read(file, 200)) got += piece.text;
}

// The FIFO has 16 characters, 1.4 ms of them: who keeps the ISR away for longer makes it overrun. A DPC cannot do that.
KDPC_TEST(Serial, AnIsrThatComesTooLateCostsCharactersAndALateDpcDoesNot) {
  Port port(m);
  static std::string got;
  static SERIALPERF_STATS counts;
  got.clear();
  const std::string sent = many(4000);
  Application application(m, [] {
    File file;
    open(file);
    set_timeouts(file, 50, 0, 500);
    drain(got, file);
    counts = statistics(file);
    file.close();
  });
  m.run_for(1ms);
  port.far.send(sent);
  m.run_for(50ms);
  m.on(0, DISPATCH_LEVEL, [] { KeStallExecutionProcessor(20'000); });
  m.run_for(10ms);
  EXPECT_TRUE(port.far.overruns().empty());
  m.on(0, HIGH_LEVEL, [] { KeStallExecutionProcessor(3'000); });
  application.finish();
  const auto overruns = port.far.overruns();
  EXPECT_NEAR(static_cast<double>(overruns.size()), 3000 / 86.8 - 16, 9);  // the FIFO had up to eight when it began
  EXPECT_EQ(counts.ReceivedCount, 4000 - overruns.size());
  EXPECT_GE(counts.SerialOverrunErrorCount, 1u);
  std::string expected = sent;
  for (auto each = overruns.rbegin(); each != overruns.rend(); ++each) expected.erase(each->number, 1);
  EXPECT_EQ(got, expected);
  port.unload();
}

KDPC_TEST(Serial, WhatNobodyReadsOverrunsTheRingUnlessRtsHoldsTheFarEndBack) {
  Port port(m, {.obeys_rts = true}, {{"RingBytes", std::uint64_t{256}}});
  static bool handshake;
  static std::string got;
  static SERIALPERF_STATS counts;
  for (const bool with : {false, true}) {
    handshake = with;
    got.clear();
    Application application(m, [] {
      File file;
      open(file);
      auto flow = get<SERIAL_HANDFLOW>(file, IOCTL_SERIAL_GET_HANDFLOW);
      if (handshake) flow.FlowReplace = SERIAL_RTS_HANDSHAKE;
      set(file, IOCTL_SERIAL_SET_HANDFLOW, flow);
      set_timeouts(file, 50, 0, 500);
      LARGE_INTEGER later;
      later.QuadPart = -1'000'000;
      KeDelayExecutionThread(KernelMode, FALSE, &later);
      drain(got, file);
      counts = statistics(file);
      file.close();
    });
    m.run_for(1ms);
    const std::string sent = many(1000);
    port.far.send(sent);
    application.finish();
    EXPECT_EQ(counts.SerialOverrunErrorCount, 0u);
    EXPECT_EQ(counts.ReceivedCount, 1000u);
    if (with) {
      EXPECT_EQ(got, sent);
      EXPECT_EQ(counts.BufferOverrunErrorCount, 0u);
    } else {
      EXPECT_EQ(got, sent.substr(0, 256));
      EXPECT_EQ(counts.BufferOverrunErrorCount, 744u);
    }
  }
}

KDPC_TEST(Serial, WithCtsHandshakeItSendsWhenTheFarEndIsReady) {
  Port port(m);
  port.far.set_modem_lines(0);
  Application application(m, [] {
    File file;
    open(file);
    auto flow = get<SERIAL_HANDFLOW>(file, IOCTL_SERIAL_GET_HANDFLOW);
    flow.ControlHandShake |= SERIAL_CTS_HANDSHAKE;
    set(file, IOCTL_SERIAL_SET_HANDFLOW, flow);
    KDPC_EXPECT_EQ(file.write("at last", 7).status, STATUS_SUCCESS);
    file.close();
  });
  m.run_for(20ms);
  EXPECT_EQ(port.far.received_text(), "");
  port.far.set_modem_lines(SerialPort::kCts);
  application.finish();
  m.run_for(10ms);
  EXPECT_EQ(port.far.received_text(), "at last");
}

// -- plug and play, power --------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Serial, APortThatIsStoppedKeepsItsRequestsUntilItIsStartedAgain) {
  Port port(m);
  static std::string got;
  Application application(m, [] {
    File file;
    open(file);
    got = read(file, 6).text;
    file.close();
  });
  m.run_for(1ms);
  port.far.send("abc");
  m.run_for(10ms);
  EXPECT_TRUE(m.ask_to_stop_device("com1", port.why)) << port.why;
  EXPECT_TRUE(m.stop_device("com1", port.why)) << port.why;
  port.far.send("lost");
  m.run_for(10ms);
  EXPECT_TRUE(m.start_device("com1", "serial", port.why)) << port.why;
  port.far.send("def");
  application.finish();
  EXPECT_EQ(got, "abcdef");
  port.unload();
}

KDPC_TEST(Serial, APortThatSleepsKeepsItsRequestsAndItsSettings) {
  Port port(m);
  static std::string got;
  port.far.speak({.baud = 9600});
  Application application(m, [] {
    File file;
    open(file, 9600);
    got = read(file, 4).text;
    file.close();
  });
  m.run_for(1ms);
  port.far.send("ab");
  m.run_for(10ms);
  EXPECT_TRUE(m.sleep(port.why)) << port.why;
  EXPECT_FALSE(port.far.data_terminal_ready());
  port.far.send("lost");
  m.run_for(10ms);
  EXPECT_TRUE(m.wake(port.why)) << port.why;
  EXPECT_TRUE(port.far.data_terminal_ready());
  port.far.send("cd");
  application.finish();
  EXPECT_EQ(got, "abcd");
  port.unload();
}

KDPC_TEST(Serial, PulledOutItEndsEverythingAndCanBeUnloaded, .processors = 2) {
  RULE("PNP-1");
  Port port(m);
  static std::int32_t statuses[4];
  Application application(m, [] {
    File file;
    open(file);
    set_timeouts(file, 100, 0, 1000, 0, 1000);  // timers are running, too
    char buffer[8];
    const ULONG mask = SERIAL_EV_CTS;
    ULONG events;
    set(file, IOCTL_SERIAL_SET_WAIT_MASK, mask);
    lab::PendingIo read = file.begin_read(buffer, 8), write = file.begin_write(many(3000).data(), 3000);
    lab::PendingIo wait = file.begin_control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events);
    statuses[0] = read.finish().status;
    statuses[1] = write.finish().status;
    statuses[2] = wait.finish().status;
    statuses[3] = file.read(buffer, 8).status;
    file.close();
  });
  m.run_for(1ms);
  port.far.send("abc");
  m.run_for(10ms);
  EXPECT_TRUE(m.surprise_remove_device("com1", port.why)) << port.why;
  application.finish();
  EXPECT_THAT(statuses, ::testing::Each(STATUS_DELETE_PENDING));
  port.unload();
}

KDPC_TEST(Serial, TwoPortsHaveNamesOfTheirOwnAndTheSystemKnowsThem) {
  cards::CardBoard board;
  SerialPort& first = board.add(cards::SerialPortWish{.name = "com1", .line = 0});
  SerialPort& second =
      board.add(cards::SerialPortWish{.name = "com2", .space = BusSpace::Memory, .base = 0xFE10'0000, .line = 0});  // of the same line
  m.attach(board);
  std::string why;
  ASSERT_TRUE(m.load_driver(KDPC_TEST_DRIVERS "/serial.drv", why)) << why;
  ASSERT_TRUE(m.start_device("com1", "serial", why)) << why;
  ASSERT_TRUE(m.start_device("com2", "serial", why)) << why;
  EXPECT_THAT(m.device_names("serial"), ::testing::IsSupersetOf({"\\Device\\Serial0", "\\Device\\Serial1"}));
  static std::string got;
  Application application(m, [] {
    File one, two;
    open(one, 115200, "\\\\.\\COM1");
    open(two, 115200, "\\\\.\\COM2");
    KDPC_EXPECT(read(one, 3).text == "one");
    KDPC_EXPECT(read(two, 3).text == "two");
    KDPC_EXPECT_EQ(two.write("2", 1).status, STATUS_SUCCESS);
    one.close();
    two.close();
  });
  m.run_for(1ms);
  first.send("one");
  second.send("two");
  application.finish();
  m.run_for(1ms);
  EXPECT_EQ(second.received_text(), "2");
  EXPECT_TRUE(m.unload_driver("serial", why)) << why;
  EXPECT_THAT(m.debug_lines(), ::testing::IsEmpty());
}

}  // namespace
}  // namespace kdpc
