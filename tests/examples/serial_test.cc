// The example driver serial with the 16550 of our own: what an application sees, and what the far end sees.
#include <cstring>

#include "tests/examples/serial_port.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;
using namespace test::serial;

KDPC_TEST(Serial, AReadGetsWhatTheFarEndSendsInThePiecesItAsksFor) {
  Port port(m);
  static std::string got;
  got.clear();
  const std::string sent = many(3000);
  Application application(m, [] {
    File file;
    open(file);
    for (int i = 0; i < 30; ++i) {
      const Read piece = read(file, 100);
      KDPC_EXPECT_EQ(piece.status, STATUS_SUCCESS);
      got += piece.text;
    }
    KDPC_EXPECT_EQ(statistics(file).ReceivedCount, 3000u);
    KDPC_EXPECT_EQ(statistics(file).SerialOverrunErrorCount, 0u);
    file.close();
  });
  m.run_for(1ms);
  port.far.send(sent);
  application.finish();
  EXPECT_EQ(got, sent);
  EXPECT_TRUE(port.far.overruns().empty());
  EXPECT_GE(m.now(), 3000u * 86'805u);  // ten bits a character
  // With eight bytes in the FIFO it asks, and not for every one.
  EXPECT_LT(m.count("interrupt-requested", {{"vector", m.vector_of("com1")}}), 3000u / 8 + 10);
  port.unload();
}

KDPC_TEST(Serial, AWriteIsHeardAtTheFarEndAndTakesItsTime) {
  Port port(m);
  static const std::string sent = many(500);
  static double began, ended;
  m.on(0, PASSIVE_LEVEL, [] {
    File file;
    open(file, 9600);
    began = milliseconds();
    KDPC_EXPECT_EQ(file.write(sent.data(), sent.size()).information, sent.size());
    KDPC_EXPECT_EQ(file.flush().status, STATUS_SUCCESS);
    ended = milliseconds();
    KDPC_EXPECT_EQ(statistics(file).TransmittedCount, 500u);
    file.close();
  });
  m.run_for(100ms);
  // The far end speaks 115200 and does not understand: told so, it does.
  EXPECT_NE(port.far.received_text(), sent);
  EXPECT_NEAR(ended - began, 495 * 10 / 9.6, 1);  // sixteen at a time: the last four are given when one is left in the shift register
  port.far.speak({.baud = 9600});
  m.on(0, PASSIVE_LEVEL, [] {
    File file;
    open(file, 9600);
    KDPC_EXPECT_EQ(file.write(sent.data(), sent.size()).information, sent.size());
    file.close();
  });
  m.run_for(100ms);
  EXPECT_THAT(port.far.received_text(), ::testing::EndsWith(sent));
  port.unload();
}

KDPC_TEST(Serial, LineControlIsWhatBothSidesMustAgreeOn) {
  Port port(m, {.far = {.baud = 19200, .data_bits = 7, .parity = cards::Parity::Even, .stop_half_bits = 4}});
  Application application(m, [] {
    File file;
    open(file, 19200);
    set(file, IOCTL_SERIAL_SET_LINE_CONTROL, SERIAL_LINE_CONTROL{STOP_BITS_2, EVEN_PARITY, 7});
    const auto line = get<SERIAL_LINE_CONTROL>(file, IOCTL_SERIAL_GET_LINE_CONTROL);
    KDPC_EXPECT(line.StopBits == STOP_BITS_2 && line.Parity == EVEN_PARITY && line.WordLength == 7);
    KDPC_EXPECT_EQ(get<SERIAL_BAUD_RATE>(file, IOCTL_SERIAL_GET_BAUD_RATE).BaudRate, 19200u);
    KDPC_EXPECT(read(file, 5).text == "seven");
    KDPC_EXPECT_EQ(statistics(file).ParityErrorCount, 0u);
    KDPC_EXPECT_EQ(file.write("bits", 4).status, STATUS_SUCCESS);
    const SERIAL_LINE_CONTROL wrong[] = {{STOP_BIT_1, NO_PARITY, 9}, {STOP_BITS_1_5, NO_PARITY, 8}, {STOP_BITS_2, 5, 8}};
    for (const auto& each : wrong) KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_SET_LINE_CONTROL, &each, sizeof each).status, STATUS_INVALID_PARAMETER);
    for (const ULONG each : {0u, 100'000u, 230'400u})
      KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_SET_BAUD_RATE, &each, sizeof each).status, STATUS_INVALID_PARAMETER);
    file.close();
  });
  m.run_for(1ms);
  port.far.send("seven");
  application.finish();
  m.run_for(10ms);
  EXPECT_EQ(port.far.received_text(), "bits");
  for (const auto& each : port.far.received()) EXPECT_FALSE(each.parity_error || each.framing_error);
}

KDPC_TEST(Serial, WrongCharactersAreCountedByWhatIsWrongWithThem) {
  Port port(m);
  Application application(m, [] {
    File file;
    open(file);
    set(file, IOCTL_SERIAL_SET_LINE_CONTROL, SERIAL_LINE_CONTROL{STOP_BIT_1, ODD_PARITY, 8});
    KDPC_EXPECT(read(file, 4).text == "abcd");
    const SERIALPERF_STATS counts = statistics(file);
    KDPC_EXPECT_EQ(counts.ParityErrorCount, 1u);
    KDPC_EXPECT_EQ(counts.FrameErrorCount, 2u);
    KDPC_EXPECT_EQ(counts.ReceivedCount, 4u);
    const auto status = get<SERIAL_STATUS>(file, IOCTL_SERIAL_GET_COMMSTATUS);
    KDPC_EXPECT_EQ(status.Errors, ULONG{SERIAL_ERROR_PARITY | SERIAL_ERROR_FRAMING});
    KDPC_EXPECT_EQ(get<SERIAL_STATUS>(file, IOCTL_SERIAL_GET_COMMSTATUS).Errors, 0u);  // told is enough
    control(file, IOCTL_SERIAL_CLEAR_STATS);
    KDPC_EXPECT_EQ(statistics(file).FrameErrorCount, 0u);
    file.close();
  });
  m.run_for(1ms);
  port.far.speak({.parity = cards::Parity::Odd});
  port.far.send("a");
  port.far.send("b", 0, SerialPort::Defect::Parity);
  port.far.send("cd", 0, SerialPort::Defect::StopBit);
  application.finish();
}

// -- time-outs -------------------------------------------------------------------------------------------------------------------------------

constexpr double kTick = 15.625;

struct TimeoutCase {
  const char* name;
  ULONG interval, multiplier, constant;
  const char* sent;  // at once; and two more at 100 ms
  std::int32_t status;
  const char* got;
  double after;  // ms, to a tick or two
};
constexpr TimeoutCase kTimeouts[] = {
    {"without any it waits for all", 0, 0, 0, "abcd", STATUS_SUCCESS, "abcdef", 100},
    {"total, by bytes and at least", 0, 5, 20, "abcd", STATUS_TIMEOUT, "abcd", 50},
    {"total, later than all", 0, 20, 80, "abcd", STATUS_SUCCESS, "abcdef", 100},
    {"interval, counted from the last byte", 30, 0, 0, "abcd", STATUS_TIMEOUT, "abcd", 30},
    {"interval, not before the first byte", 30, 0, 0, "", STATUS_TIMEOUT, "ef", 130},
    {"interval, before the total", 30, 0, 500, "abcd", STATUS_TIMEOUT, "abcd", 30},
    {"total, before the interval", 500, 0, 50, "abcd", STATUS_TIMEOUT, "abcd", 50},
    {"what is there", MAXULONG, 0, 0, "", STATUS_SUCCESS, "", 0},
    {"the first bytes", MAXULONG, MAXULONG, 200, "", STATUS_SUCCESS, "e", 100},
    {"the first bytes, or none", MAXULONG, MAXULONG, 50, "", STATUS_TIMEOUT, "", 50},
};

KDPC_TEST(Serial, ReadsEndAfterTheTimesOfSerialTimeouts) {
  Port port(m);
  static double took;
  static Read got;
  for (const TimeoutCase& each : kTimeouts) {
    Application application(m, [&each] {
      File file;
      open(file);
      set_timeouts(file, each.interval, each.multiplier, each.constant);
      const double began = milliseconds();
      got = read(file, 6);
      took = milliseconds() - began;
      file.close();
    });
    m.run_for(1ms);
    port.far.send(each.sent);
    port.far.send("ef", m.now() + 100'000'000);
    application.finish();
    EXPECT_EQ(got.status, each.status) << each.name;
    // The trigger level or the FIFO's own time-out decides how many bytes are "the first".
    if (std::string_view(each.got) == "e") {
      EXPECT_THAT(got.text, ::testing::StartsWith("e")) << each.name;
    } else {
      EXPECT_EQ(got.text, each.got) << each.name;
    }
    EXPECT_GE(took, each.after - kTick) << each.name;
    EXPECT_LE(took, each.after + 2 * kTick) << each.name;
    m.run_for(200ms);
  }
  port.unload();
}

KDPC_TEST(Serial, TimeoutsThatMeanNothingAreRefused) {
  Port port(m);
  m.on(0, PASSIVE_LEVEL, [] {
    File file;
    open(file);
    const SERIAL_TIMEOUTS wrong = {MAXULONG, MAXULONG, MAXULONG, 0, 0};
    KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_SET_TIMEOUTS, &wrong, sizeof wrong).status, STATUS_INVALID_PARAMETER);
    set_timeouts(file, 1, 2, 3, 4, 5);
    const auto kept = get<SERIAL_TIMEOUTS>(file, IOCTL_SERIAL_GET_TIMEOUTS);
    KDPC_EXPECT(kept.ReadIntervalTimeout == 1 && kept.ReadTotalTimeoutConstant == 3 && kept.WriteTotalTimeoutConstant == 5);
    file.close();
  });
}

KDPC_TEST(Serial, AWriteEndsAfterItsTimeWithWhatWasSent) {
  Port port(m);
  port.far.speak({.baud = 1200});
  m.on(0, PASSIVE_LEVEL, [] {
    File file;
    open(file, 1200);
    set_timeouts(file, 0, 0, 0, 0, 500);
    const std::string text = many(200);
    const lab::IoResult result = file.write(text.data(), text.size());
    KDPC_EXPECT_EQ(result.status, STATUS_TIMEOUT);
    KDPC_EXPECT(result.information >= 48 && result.information <= 96, result.information);  // 60 characters in half a second
    file.close();
  });
}

// -- cancelling, purging, closing --------------------------------------------------------------------------------------------------------

KDPC_TEST(Serial, RequestsCanBeCancelledFirstOrWaitingAndKeepWhatTheyHad) {
  Port port(m);
  Application application(m, [] {
    File file;
    open(file);
    char buffers[3][8] = {};
    lab::PendingIo reads[3];
    for (int i = 0; i < 3; ++i) reads[i] = file.begin_read(buffers[i], 8);
    KDPC_EXPECT(reads[1].cancel());
    KDPC_EXPECT_EQ(reads[1].finish().status, STATUS_CANCELLED);
    while (get<SERIAL_STATUS>(file, IOCTL_SERIAL_GET_COMMSTATUS).AmountInInQueue == 0 && statistics(file).ReceivedCount < 4)
      KeStallExecutionProcessor(50);
    KDPC_EXPECT(reads[0].cancel());
    const lab::IoResult first = reads[0].finish();
    KDPC_EXPECT_EQ(first.status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(first.information, 4u);
    KDPC_EXPECT_EQ(reads[2].finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(std::memcmp(buffers[2], "efghijkl", 8), 0);

    const std::string text = many(1000);
    lab::PendingIo writes[2] = {file.begin_write(text.data(), text.size()), file.begin_write("last", 4)};
    KeStallExecutionProcessor(5000);
    KDPC_EXPECT(writes[0].cancel());
    const lab::IoResult sent = writes[0].finish();
    KDPC_EXPECT_EQ(sent.status, STATUS_CANCELLED);
    KDPC_EXPECT(sent.information > 0 && sent.information < 200, sent.information);
    KDPC_EXPECT_EQ(writes[1].finish().information, 4u);
    file.close();
  });
  m.run_for(1ms);
  port.far.send("abcd");
  port.far.send("efghijkl", m.now() + 20'000'000);
  application.finish();
  m.run_for(10ms);
  EXPECT_THAT(port.far.received_text(), ::testing::EndsWith("last"));
  port.unload();
}

KDPC_TEST(Serial, PurgeEndsWhatItIsToldAndForgetsWhatHasCome) {
  Port port(m);
  Application application(m, [] {
    File file;
    open(file);
    char buffer[8];
    const ULONG abort_reads = SERIAL_PURGE_RXABORT, abort_writes = SERIAL_PURGE_TXABORT, clear = SERIAL_PURGE_RXCLEAR | SERIAL_PURGE_TXCLEAR,
                none = 0;
    lab::PendingIo first = file.begin_read(buffer, 8), second = file.begin_read(buffer, 8);
    set(file, IOCTL_SERIAL_PURGE, abort_reads);
    KDPC_EXPECT_EQ(first.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(second.finish().status, STATUS_CANCELLED);
    const std::string text = many(500);
    lab::PendingIo write = file.begin_write(text.data(), text.size());
    set(file, IOCTL_SERIAL_PURGE, abort_writes);
    KDPC_EXPECT_EQ(write.finish().status, STATUS_CANCELLED);
    while (statistics(file).ReceivedCount < 5) KeStallExecutionProcessor(50);
    KDPC_EXPECT_EQ(get<SERIAL_STATUS>(file, IOCTL_SERIAL_GET_COMMSTATUS).AmountInInQueue, 5u);
    set(file, IOCTL_SERIAL_PURGE, clear);
    KDPC_EXPECT_EQ(get<SERIAL_STATUS>(file, IOCTL_SERIAL_GET_COMMSTATUS).AmountInInQueue, 0u);
    KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_PURGE, &none, sizeof none).status, STATUS_INVALID_PARAMETER);
    file.close();
  });
  m.run_for(1ms);
  port.far.send("abcde");
  application.finish();
}

KDPC_TEST(Serial, ClosingCancelsWhatItsFileStillHasAndQuietsTheChip) {
  Port port(m);
  m.on(0, PASSIVE_LEVEL, [] {
    File file, other;
    open(file);
    KDPC_EXPECT_EQ(other.open("\\\\.\\COM1"), STATUS_ACCESS_DENIED);
    char buffer[8];
    const ULONG mask = SERIAL_EV_RXCHAR;
    ULONG events = 0;
    set(file, IOCTL_SERIAL_SET_WAIT_MASK, mask);
    lab::PendingIo read = file.begin_read(buffer, 8), write = file.begin_write(many(300).data(), 300);
    lab::PendingIo wait = file.begin_control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events);
    file.close();
    KDPC_EXPECT_EQ(read.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(write.finish().status, STATUS_CANCELLED);
    KDPC_EXPECT_EQ(wait.finish().status, STATUS_CANCELLED);
  });
  EXPECT_FALSE(port.far.data_terminal_ready());
  m.forget_events();
  port.far.send("nobody listens");
  m.run_for(20ms);
  EXPECT_EQ(m.count("interrupt-requested", {{"vector", m.vector_of("com1")}}), 0u);
  port.unload();
}

// -- events ----------------------------------------------------------------------------------------------------------------------------------

KDPC_TEST(Serial, AWaitEndsWithTheEventsOfItsMaskOrWithNoneWhenTheMaskChanges) {
  Port port(m);
  static ULONG events;
  Application application(m, [] {
    File file;
    open(file);
    ULONG none = 0;
    KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events).status, STATUS_INVALID_PARAMETER);
    const ULONG line = SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RING, received = SERIAL_EV_RXCHAR | SERIAL_EV_BREAK | SERIAL_EV_TXEMPTY;
    set(file, IOCTL_SERIAL_SET_WAIT_MASK, line);
    KDPC_EXPECT_EQ(get<ULONG>(file, IOCTL_SERIAL_WAIT_ON_MASK), ULONG{SERIAL_EV_CTS | SERIAL_EV_RING});
    KDPC_EXPECT_EQ(get<ULONG>(file, IOCTL_SERIAL_GET_MODEMSTATUS), ULONG{SERIAL_DSR_STATE | SERIAL_DCD_STATE});
    lab::PendingIo wait = file.begin_control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events);
    KDPC_EXPECT_EQ(file.control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &none, sizeof none).status, STATUS_INVALID_PARAMETER);  // one at a time
    set(file, IOCTL_SERIAL_SET_WAIT_MASK, received);
    KDPC_EXPECT_EQ(wait.finish().status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(events, 0u);
    KDPC_EXPECT_EQ(get<ULONG>(file, IOCTL_SERIAL_WAIT_ON_MASK), ULONG{SERIAL_EV_RXCHAR});
    KDPC_EXPECT_EQ(get<ULONG>(file, IOCTL_SERIAL_WAIT_ON_MASK), ULONG{SERIAL_EV_BREAK});
    KDPC_EXPECT_EQ(get<SERIAL_STATUS>(file, IOCTL_SERIAL_GET_COMMSTATUS).Errors, ULONG{SERIAL_ERROR_BREAK});
    KDPC_EXPECT_EQ(file.write("x", 1).status, STATUS_SUCCESS);
    KDPC_EXPECT_EQ(get<ULONG>(file, IOCTL_SERIAL_WAIT_ON_MASK), ULONG{SERIAL_EV_TXEMPTY});
    file.close();
  });
  m.run_for(50ms);
  port.far.set_modem_lines(SerialPort::kCts | SerialPort::kDsr | SerialPort::kCarrier | SerialPort::kRing);
  m.run_for(50ms);
  port.far.set_modem_lines(SerialPort::kDsr | SerialPort::kCarrier);
  m.run_for(50ms);
  port.far.send("a");
  m.run_for(50ms);
  port.far.send_break(1'000'000);
  application.finish();
}

KDPC_TEST(Serial, LinesAndBreaksReachTheFarEnd) {
  Port port(m);
  static File file;
  const auto inside = [&](void (*body)()) { m.on(0, PASSIVE_LEVEL, body); };
  inside([] { open(file); });
  EXPECT_TRUE(port.far.data_terminal_ready() && port.far.request_to_send());
  inside([] {
    control(file, IOCTL_SERIAL_CLR_DTR);
    KDPC_EXPECT_EQ(get<ULONG>(file, IOCTL_SERIAL_GET_DTRRTS), ULONG{SERIAL_RTS_STATE});
    control(file, IOCTL_SERIAL_CLR_RTS);
    control(file, IOCTL_SERIAL_SET_BREAK_ON);
  });
  EXPECT_FALSE(port.far.data_terminal_ready() || port.far.request_to_send());
  EXPECT_TRUE(port.far.sees_break());
  inside([] {
    control(file, IOCTL_SERIAL_SET_BREAK_OFF);
    control(file, IOCTL_SERIAL_SET_DTR);
    control(file, IOCTL_SERIAL_SET_RTS);
  });
  EXPECT_TRUE(port.far.data_terminal_ready() && port.far.request_to_send());
  EXPECT_FALSE(port.far.sees_break());
  inside([] { file.close(); });
}

}  // namespace
}  // namespace kdpc
