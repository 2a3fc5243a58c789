// The example drivers in every order that is tried: two processors, requests that are cancelled while they end, cards that are pulled out while they are used. What
// an application is told is one of the things that it may be told, nothing is left behind, and nothing races.
//
// KDPC_EXPLORED_SCHEDULES in the environment: so many for each test, instead of some hundreds.
#include <ntddser.h>
#include <wdm.h>

#include <cstdlib>

#include "examples/drivers/ac97/ac97io.h"
#include "examples/drivers/adc/adc.h"
#include "kdpc/cards.h"
#include "kdpc/test.h"

namespace kdpc {
namespace {

using namespace std::chrono_literals;

std::uint64_t schedules(std::uint64_t usual) {
  const char* const wanted = std::getenv("KDPC_EXPLORED_SCHEDULES");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : usual;
}

bool is_one_of(std::int32_t status, std::initializer_list<std::int32_t> allowed) {
  for (const std::int32_t one : allowed)
    if (status == one) return true;
  return false;
}

// A driver's check variant with its device; none: the driver alone.
struct Loaded {
  Loaded(lab::Machine& machine, const char* its_driver, const char* its_device = nullptr, const lab::DriverSettings& settings = {})
      : m(machine), driver(its_driver), device(its_device) {
    works = m.load_driver(std::string(KDPC_TEST_DRIVERS "/check/") + driver + ".drv", why, {.settings = settings}) &&
            (device == nullptr || m.start_device(device, driver, why));
    EXPECT_TRUE(works) << why;
  }
  // Two applications at the same time, one on each processor; so long after they have begun, if at all, the card is pulled out.
  void use(const std::function<void()>& one, const std::function<void()>& other, lab::Duration pulled_out = 0) {
    if (!works) return;
    const lab::Task first = m.start(0, PASSIVE_LEVEL, one), second = m.start(1, PASSIVE_LEVEL, other);
    if (pulled_out.nanoseconds != 0 && m.run_for(pulled_out)) EXPECT_TRUE(m.surprise_remove_device(device, why)) << why;
    m.run_until([&] { return first.done() && second.done(); }, 20s);
    if (m.outcome().over()) return;
    EXPECT_TRUE(first.done() && second.done()) << "an application waits for ever\n" << m.outcome().text;
    EXPECT_TRUE(m.unload_driver(driver, why)) << why;
    for (const lab::DebugLine& line : m.debug_lines()) ADD_FAILURE() << line.text;
  }

  lab::Machine& m;
  const char* const driver;
  const char* const device;
  std::string why;
  bool works = false;
};

// Inside. A file of a device that may be gone.
bool opened(lab::DeviceFile& file, const char* name, std::initializer_list<std::int32_t> unless = {}) {
  const std::int32_t status = file.open(name);
  KDPC_EXPECT(status == STATUS_SUCCESS || is_one_of(status, unless), status);
  return status == STATUS_SUCCESS;
}
void expect_one_of(const lab::IoResult& result, std::initializer_list<std::int32_t> allowed) {
  KDPC_EXPECT(is_one_of(result.status, allowed), result.status, result.information);
}
#define WHERE_GONE \
  { STATUS_NO_SUCH_DEVICE, STATUS_DELETE_PENDING, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_DEVICE_REMOVED, STATUS_DEVICE_NOT_READY }

// -- adc -----------------------------------------------------------------------------------------------------------------------------------------

void measure(std::size_t count, bool cancels) {
  lab::DeviceFile file;
  if (!opened(file, "\\\\.\\Adc0", WHERE_GONE)) return;
  std::uint16_t samples[2][8] = {};
  lab::PendingIo first = file.begin_read(samples[0], 2 * count), second = file.begin_read(samples[1], 2 * count);
  const bool cancelled = cancels && second.cancel();
  const lab::IoResult results[] = {first.finish(), second.finish()};
  expect_one_of(results[0],
                {STATUS_SUCCESS, STATUS_DEVICE_REMOVED, STATUS_DELETE_PENDING, STATUS_DEVICE_NOT_READY, STATUS_CANCELLED, STATUS_IO_TIMEOUT});
  expect_one_of(results[1],
                {STATUS_SUCCESS, STATUS_DEVICE_REMOVED, STATUS_DELETE_PENDING, STATUS_DEVICE_NOT_READY, STATUS_CANCELLED, STATUS_IO_TIMEOUT});
  if (cancelled) KDPC_EXPECT_EQ(results[1].status, STATUS_CANCELLED);
  file.close();
}

EXPLORE_TEST(ExploredAdc, TwoMeasureAndOneCancels, .processors = 2, .schedules = schedules(300)) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{});
  m.attach(board);
  Loaded(m, "adc", "adc").use([] { measure(3, true); }, [] { measure(2, false); });
}

EXPLORE_TEST(ExploredAdc, PulledOutWhileItMeasures, .processors = 2, .schedules = schedules(300)) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{});
  m.attach(board);
  Loaded(m, "adc", "adc").use([] { measure(4, true); }, [] { measure(2, false); }, 120us);
}

// -- mailbox -------------------------------------------------------------------------------------------------------------------------------------

constexpr const char* kMailbox = "\\\\.\\Mailbox1";

EXPLORE_TEST(ExploredMailbox, LettersAndReadsAndCancels, .processors = 2, .schedules = schedules(300)) {
  Loaded(m, "mailbox")
      .use(
          [] {
            lab::DeviceFile file;
            if (!opened(file, kMailbox)) return;
            char text[2][8] = {};
            lab::PendingIo first = file.begin_read(text[0], 8), second = file.begin_read(text[1], 8);
            second.cancel();
            expect_one_of(second.finish(), {STATUS_SUCCESS, STATUS_CANCELLED});
            first.cancel();
            expect_one_of(first.finish(), {STATUS_SUCCESS, STATUS_CANCELLED});
            file.close();
          },
          [] {
            lab::DeviceFile file;
            if (!opened(file, kMailbox)) return;
            constexpr std::uint32_t kPostEvery = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS);
            const ULONG period = 1;
            KDPC_EXPECT_EQ(file.control(kPostEvery, &period, sizeof period).status, STATUS_SUCCESS);
            KDPC_EXPECT_EQ(file.write("letter", 6).status, STATUS_SUCCESS);
            char text[8] = {};
            lab::PendingIo read = file.begin_read(text, 8);
            file.close();  // takes the read with it, if it still waits
            expect_one_of(read.finish(), {STATUS_SUCCESS, STATUS_CANCELLED});
          });
}

// -- serial --------------------------------------------------------------------------------------------------------------------------------------

constexpr const char* kPort = "\\\\.\\COM1";
constexpr std::string_view kLetter = "forty characters are on the way to you..";

void set_up(lab::DeviceFile& file) {
  const SERIAL_BAUD_RATE rate = {115200};
  const SERIAL_TIMEOUTS times = {20, 0, 100, 0, 100};
  expect_one_of(file.control(IOCTL_SERIAL_SET_BAUD_RATE, &rate, sizeof rate), {STATUS_SUCCESS, STATUS_DEVICE_REMOVED, STATUS_NO_SUCH_DEVICE});
  expect_one_of(file.control(IOCTL_SERIAL_SET_TIMEOUTS, &times, sizeof times), {STATUS_SUCCESS, STATUS_DEVICE_REMOVED, STATUS_NO_SUCH_DEVICE});
}
#define SERIAL_ENDS \
  { STATUS_SUCCESS, STATUS_TIMEOUT, STATUS_CANCELLED, STATUS_DEVICE_REMOVED, STATUS_NO_SUCH_DEVICE, STATUS_DELETE_PENDING }

// Each has the port for itself while the other one asks in vain.
void talk(bool purges) {
  lab::DeviceFile file;
  if (!opened(file, kPort,
              {STATUS_ACCESS_DENIED, STATUS_SHARING_VIOLATION, STATUS_NO_SUCH_DEVICE, STATUS_DELETE_PENDING, STATUS_OBJECT_NAME_NOT_FOUND,
               STATUS_DEVICE_REMOVED}))
    return;
  set_up(file);
  char text[2][20] = {};
  ULONG mask = SERIAL_EV_RXCHAR, events = 0;
  expect_one_of(file.control(IOCTL_SERIAL_SET_WAIT_MASK, &mask, sizeof mask), SERIAL_ENDS);
  lab::PendingIo wait = file.begin_control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events);
  lab::PendingIo first = file.begin_read(text[0], 20), second = file.begin_read(text[1], 20), write = file.begin_write("hello, far end", 14);
  if (purges) {
    const ULONG all = SERIAL_PURGE_RXABORT | SERIAL_PURGE_TXABORT | SERIAL_PURGE_RXCLEAR | SERIAL_PURGE_TXCLEAR;
    expect_one_of(file.control(IOCTL_SERIAL_PURGE, &all, sizeof all), SERIAL_ENDS);
  } else {
    second.cancel();
  }
  expect_one_of(first.finish(), SERIAL_ENDS);
  expect_one_of(second.finish(), SERIAL_ENDS);
  expect_one_of(write.finish(), SERIAL_ENDS);
  file.close();  // ends the wait
  expect_one_of(wait.finish(), SERIAL_ENDS);
}

void try_port(lab::Machine& m, bool purges, lab::Duration pulled_out = 0) {
  cards::CardBoard board;
  cards::SerialPort& far = board.add(cards::SerialPortWish{});
  m.attach(board);
  Loaded loaded(m, "serial", "com1");
  far.send(kLetter, 50'000);
  loaded.use([purges] { talk(purges); }, [] { talk(false); }, pulled_out);
}

EXPLORE_TEST(ExploredSerial, ReadsWritesAndCancels, .processors = 2, .schedules = schedules(200)) { try_port(m, false); }
EXPLORE_TEST(ExploredSerial, Purges, .processors = 2, .schedules = schedules(200)) { try_port(m, true); }
EXPLORE_TEST(ExploredSerial, PulledOutWhileItIsUsed, .processors = 2, .schedules = schedules(200)) { try_port(m, false, 900us); }

// -- ac97 ----------------------------------------------------------------------------------------------------------------------------------------

constexpr std::size_t kPeriod = 96;  // frames, 2 ms
#define SOUND_ENDS                                                                                                             \
  {                                                                                                                            \
    STATUS_SUCCESS, STATUS_CANCELLED, STATUS_DEVICE_REMOVED, STATUS_NO_SUCH_DEVICE, STATUS_DELETE_PENDING, STATUS_DEVICE_BUSY, \
        STATUS_DEVICE_NOT_READY                                                                                                \
  }

// Who comes second asks in vain, or comes when the first has gone.
void play(bool cancels) {
  lab::DeviceFile file;
  if (!opened(file, "\\\\.\\Ac97_0",
              {STATUS_SHARING_VIOLATION, STATUS_NO_SUCH_DEVICE, STATUS_DELETE_PENDING, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_DEVICE_REMOVED}))
    return;
  std::uint32_t frames[3][kPeriod];
  for (auto& period : frames)
    for (std::uint32_t& frame : period) frame = 0x10001;
  lab::PendingIo writes[3];
  for (int i = 0; i < 3; ++i) writes[i] = file.begin_write(frames[i], sizeof frames[i]);
  lab::PendingIo drain = file.begin_control(IOCTL_AC97_DRAIN);
  AC97_POSITION at = {};
  expect_one_of(file.control(IOCTL_AC97_GET_POSITION, nullptr, 0, &at, sizeof at), SOUND_ENDS);
  if (cancels) {
    writes[2].cancel();
    drain.cancel();
  }
  for (lab::PendingIo& write : writes) expect_one_of(write.finish(), SOUND_ENDS);
  expect_one_of(drain.finish(), SOUND_ENDS);
  file.close();
}

void try_sound(lab::Machine& m, bool cancels, lab::Duration pulled_out = 0) {
  cards::CardBoard board;
  board.add(cards::SoundCardWish{});
  m.attach(board);
  Loaded(m, "ac97", "sound", {{"PeriodFrames", std::uint64_t{kPeriod}}, {"PeriodsAhead", std::uint64_t{2}}})
      .use([cancels] { play(cancels); }, [] { play(false); }, pulled_out);
}

EXPLORE_TEST(ExploredAc97, PlaysAndDrains, .processors = 2, .schedules = schedules(200)) { try_sound(m, false); }
EXPLORE_TEST(ExploredAc97, Cancels, .processors = 2, .schedules = schedules(200)) { try_sound(m, true); }
EXPLORE_TEST(ExploredAc97, PulledOutWhileItPlays, .processors = 2, .schedules = schedules(200)) { try_sound(m, false, 3ms); }

}  // namespace
}  // namespace kdpc
