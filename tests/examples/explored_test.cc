// The example drivers in every order that is tried: two processors, requests that are cancelled while they end, cards that are pulled out while they are used. What
// an application is told is one of the things that it may be told, nothing is left behind, and nothing races.
//
// KDPC_EXPLORED_SCHEDULES in the environment: so many for each test, instead of some hundreds.
#include <ntddser.h>
#include <wdm.h>

#include <algorithm>
#include <cstdlib>
#include <span>

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

using Statuses = std::span<const std::int32_t>;
bool is_one_of(std::int32_t status, Statuses allowed) { return std::find(allowed.begin(), allowed.end(), status) != allowed.end(); }

constexpr std::int32_t kNotOpened[] = {STATUS_NO_SUCH_DEVICE,   STATUS_DELETE_PENDING, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_DEVICE_REMOVED,
                                       STATUS_DEVICE_NOT_READY, STATUS_ACCESS_DENIED,  STATUS_SHARING_VIOLATION};
constexpr std::int32_t kEnds[] = {STATUS_SUCCESS,        STATUS_CANCELLED,      STATUS_TIMEOUT,          STATUS_IO_TIMEOUT, STATUS_DEVICE_REMOVED,
                                  STATUS_NO_SUCH_DEVICE, STATUS_DELETE_PENDING, STATUS_DEVICE_NOT_READY, STATUS_DEVICE_BUSY};

// A driver's check variant with its device; none: the driver alone.
struct Loaded {
  Loaded(lab::Machine& machine, const char* its_driver, const char* its_device = nullptr, const lab::DriverSettings& settings = {})
      : m(machine), driver(its_driver), device(its_device) {
    works = m.load_driver(std::string(KDPC_TEST_DRIVERS "/check/") + driver + ".drv", why, {.settings = settings}) &&
            (device == nullptr || m.start_device(device, driver, why));
    EXPECT_TRUE(works) << why;
  }
  // Two applications at the same time, one on each processor. `meanwhile`, if anything, begins so long after them and says whether all went well.
  void use(const std::function<void()>& one, const std::function<void()>& other, lab::Duration later = 0,
           const std::function<bool()>& meanwhile = {}) {
    if (!works) {
      m.unload_driver(driver, why);
      return;
    }
    const lab::Task first = m.start(0, PASSIVE_LEVEL, one), second = m.start(1, PASSIVE_LEVEL, other);
    if (meanwhile && m.run_for(later) && !meanwhile() && !m.outcome().over()) ADD_FAILURE() << why;
    m.run_until([&] { return first.done() && second.done(); }, 20s);
    if (m.outcome().over()) return;
    EXPECT_TRUE(first.done() && second.done()) << "an application waits for ever\n" << m.outcome().text;
    EXPECT_TRUE(m.unload_driver(driver, why)) << why;
    for (const lab::DebugLine& line : m.debug_lines()) ADD_FAILURE() << line.text;
    EXPECT_EQ(lab::left_over(m), "");
  }

  std::function<bool()> pull_out() {
    return [this] { return m.surprise_remove_device(device, why); };
  }
  std::function<bool()> stop_and_start() {
    return [this] { return m.stop_device(device, why) && m.run_for(500us) && m.start_device(device, driver, why); };
  }
  std::function<bool()> sleep_and_wake() {
    return [this] { return m.sleep(why) && m.run_for(500us) && m.wake(why); };
  }

  lab::Machine& m;
  const char* const driver;
  const char* const device;
  std::string why;
  bool works = false;
};

// Inside. A file of a device that may be gone.
bool opened(lab::DeviceFile& file, const char* name, Statuses unless = kNotOpened) {
  const std::int32_t status = file.open(name);
  KDPC_EXPECT(status == STATUS_SUCCESS || is_one_of(status, unless), status);
  return status == STATUS_SUCCESS;
}
void expect_one_of(const lab::IoResult& result, Statuses allowed = kEnds) {
  KDPC_EXPECT(is_one_of(result.status, allowed), result.status, result.information);
}

// -- adc -----------------------------------------------------------------------------------------------------------------------------------------

void measure(std::size_t count, bool cancels) {
  lab::DeviceFile file;
  if (!opened(file, "\\\\.\\Adc0")) return;
  std::uint16_t samples[2][8] = {};
  lab::PendingIo first = file.begin_read(samples[0], 2 * count), second = file.begin_read(samples[1], 2 * count);
  const bool cancelled = cancels && second.cancel();
  const lab::IoResult results[] = {first.finish(), second.finish()};
  expect_one_of(results[0]);
  expect_one_of(results[1]);
  if (cancelled) KDPC_EXPECT_EQ(results[1].status, STATUS_CANCELLED);
  file.close();
}

void try_converter(lab::Machine& m, std::size_t count, bool cancels) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{});
  m.attach(board);
  Loaded(m, "adc", "adc").use([=] { measure(count, cancels); }, [] { measure(2, false); });
}

EXPLORE_TEST(ExploredAdc, TwoMeasureAndOneCancels, .processors = 2, .schedules = schedules(300)) { try_converter(m, 3, true); }

EXPLORE_TEST(ExploredAdc, PulledOutWhileItMeasures, .processors = 2, .schedules = schedules(300)) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{});
  m.attach(board);
  Loaded loaded(m, "adc", "adc");
  loaded.use([] { measure(4, true); }, [] { measure(2, false); }, 120us, loaded.pull_out());
}

EXPLORE_TEST(ExploredAdc, StoppedAndStartedWhileItMeasures, .processors = 2, .schedules = schedules(300)) {
  cards::CardBoard board;
  board.add(cards::ConverterWish{});
  m.attach(board);
  Loaded loaded(m, "adc", "adc");
  loaded.use([] { measure(4, true); }, [] { measure(2, false); }, 120us, loaded.stop_and_start());
}

EXPLORE_TEST(ExploredAdc, CancelledAtAnyTime, .processors = 2, .schedules = schedules(400), .cancel = true) { try_converter(m, 4, false); }
EXPLORE_TEST(ExploredAdc, PulledOutAtAnyTime, .processors = 2, .schedules = schedules(400), .removal = true) { try_converter(m, 4, true); }

// -- mailbox -------------------------------------------------------------------------------------------------------------------------------------

constexpr const char* kMailbox = "\\\\.\\Mailbox1";

EXPLORE_TEST(ExploredMailbox, LettersAndReadsAndCancels, .processors = 2, .schedules = schedules(300)) {
  Loaded(m, "mailbox")
      .use(
          [] {
            lab::DeviceFile file;
            if (!opened(file, kMailbox, {})) return;
            char text[2][8] = {};
            lab::PendingIo first = file.begin_read(text[0], 8), second = file.begin_read(text[1], 8);
            second.cancel();
            expect_one_of(second.finish());
            first.cancel();
            expect_one_of(first.finish());
            file.close();
          },
          [] {
            lab::DeviceFile file;
            if (!opened(file, kMailbox, {})) return;
            constexpr std::uint32_t kPostEvery = CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS);
            const ULONG period = 1;
            KDPC_EXPECT_EQ(file.control(kPostEvery, &period, sizeof period).status, STATUS_SUCCESS);
            KDPC_EXPECT_EQ(file.write("letter", 6).status, STATUS_SUCCESS);
            char text[8] = {};
            lab::PendingIo read = file.begin_read(text, 8);
            file.close();  // takes the read with it, if it still waits
            expect_one_of(read.finish());
          });
}

// -- serial --------------------------------------------------------------------------------------------------------------------------------------

constexpr const char* kPort = "\\\\.\\COM1";
constexpr std::string_view kLetter = "forty characters are on the way to you..";

void set_up(lab::DeviceFile& file) {
  const SERIAL_BAUD_RATE rate = {115200};
  const SERIAL_TIMEOUTS times = {20, 0, 100, 0, 100};
  expect_one_of(file.control(IOCTL_SERIAL_SET_BAUD_RATE, &rate, sizeof rate));
  expect_one_of(file.control(IOCTL_SERIAL_SET_TIMEOUTS, &times, sizeof times));
}
// Each has the port for itself while the other one asks in vain.
void talk(bool purges) {
  lab::DeviceFile file;
  if (!opened(file, kPort)) return;
  set_up(file);
  char text[2][20] = {};
  ULONG mask = SERIAL_EV_RXCHAR, events = 0;
  expect_one_of(file.control(IOCTL_SERIAL_SET_WAIT_MASK, &mask, sizeof mask));
  lab::PendingIo wait = file.begin_control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events);
  lab::PendingIo first = file.begin_read(text[0], 20), second = file.begin_read(text[1], 20), write = file.begin_write("hello, far end", 14);
  if (purges) {
    const ULONG all = SERIAL_PURGE_RXABORT | SERIAL_PURGE_TXABORT | SERIAL_PURGE_RXCLEAR | SERIAL_PURGE_TXCLEAR;
    expect_one_of(file.control(IOCTL_SERIAL_PURGE, &all, sizeof all));
  } else {
    second.cancel();
  }
  expect_one_of(first.finish());
  expect_one_of(second.finish());
  expect_one_of(write.finish());
  file.close();  // ends the wait
  expect_one_of(wait.finish());
}

enum class Meanwhile : std::uint8_t { Nothing, PulledOut, StoppedAndStarted, Sleeps };
std::function<bool()> doing(Meanwhile meanwhile, Loaded& loaded) {
  switch (meanwhile) {
    case Meanwhile::PulledOut: return loaded.pull_out();
    case Meanwhile::StoppedAndStarted: return loaded.stop_and_start();
    case Meanwhile::Sleeps: return loaded.sleep_and_wake();
    default: return {};
  }
}

void try_port(lab::Machine& m, bool purges, Meanwhile meanwhile = Meanwhile::Nothing) {
  cards::CardBoard board;
  cards::SerialPort& far = board.add(cards::SerialPortWish{});
  m.attach(board);
  Loaded loaded(m, "serial", "com1");
  far.send(kLetter, 50'000);
  loaded.use([purges] { talk(purges); }, [] { talk(false); }, 900us, doing(meanwhile, loaded));
}

EXPLORE_TEST(ExploredSerial, ReadsWritesAndCancels, .processors = 2, .schedules = schedules(200)) { try_port(m, false); }
EXPLORE_TEST(ExploredSerial, Purges, .processors = 2, .schedules = schedules(200)) { try_port(m, true); }
// Two threads of one application, of which each changes what the other asks for, and waits for.
EXPLORE_TEST(ExploredSerial, SettingsAreChangedAndAskedFor, .processors = 2, .schedules = schedules(200)) {
  cards::CardBoard board;
  cards::SerialPort& far = board.add(cards::SerialPortWish{});
  m.attach(board);
  Loaded loaded(m, "serial", "com1");
  far.send(kLetter, 50'000);
  lab::DeviceFile file;
  if (!m.on(0, PASSIVE_LEVEL, [&] { KDPC_EXPECT_EQ(file.open(kPort), STATUS_SUCCESS); })) return;
  int left = 2;
  const auto use = [&] {
    ULONG value = SERIAL_EV_RXCHAR, events = 0;
    SERIAL_BAUD_RATE rate = {57600};
    SERIAL_LINE_CONTROL line = {STOP_BIT_1, NO_PARITY, 8};
    SERIAL_QUEUE_SIZE size = {8192, 0};
    SERIAL_COMMPROP properties = {};
    expect_one_of(file.control(IOCTL_SERIAL_SET_WAIT_MASK, &value, sizeof value));
    lab::PendingIo wait = file.begin_control(IOCTL_SERIAL_WAIT_ON_MASK, nullptr, 0, &events, sizeof events);
    expect_one_of(file.control(IOCTL_SERIAL_SET_BAUD_RATE, &rate, sizeof rate));
    expect_one_of(file.control(IOCTL_SERIAL_SET_LINE_CONTROL, &line, sizeof line));
    expect_one_of(file.control(IOCTL_SERIAL_SET_QUEUE_SIZE, &size, sizeof size));
    expect_one_of(file.control(IOCTL_SERIAL_SET_DTR));
    expect_one_of(file.control(IOCTL_SERIAL_GET_BAUD_RATE, nullptr, 0, &rate, sizeof rate));
    expect_one_of(file.control(IOCTL_SERIAL_GET_LINE_CONTROL, nullptr, 0, &line, sizeof line));
    expect_one_of(file.control(IOCTL_SERIAL_GET_PROPERTIES, nullptr, 0, &properties, sizeof properties));
    for (const ULONG code : {IOCTL_SERIAL_GET_WAIT_MASK, IOCTL_SERIAL_GET_MODEMSTATUS, IOCTL_SERIAL_GET_DTRRTS})
      expect_one_of(file.control(code, nullptr, 0, &value, sizeof value));
    value = 0;
    expect_one_of(file.control(IOCTL_SERIAL_SET_WAIT_MASK, &value, sizeof value));  // ends the wait, if nothing else has
    constexpr std::int32_t kWaited[] = {STATUS_SUCCESS, STATUS_INVALID_PARAMETER};  // the other one waits already, or waits for nothing
    expect_one_of(wait.finish(), kWaited);
    if (--left == 0) file.close();
  };
  loaded.use(use, use);
}

EXPLORE_TEST(ExploredSerial, PulledOutWhileItIsUsed, .processors = 2, .schedules = schedules(1500)) { try_port(m, false, Meanwhile::PulledOut); }
EXPLORE_TEST(ExploredSerial, StoppedAndStartedWhileItIsUsed, .processors = 2, .schedules = schedules(200)) {
  try_port(m, false, Meanwhile::StoppedAndStarted);
}
EXPLORE_TEST(ExploredSerial, SleepsWhileItIsUsed, .processors = 2, .schedules = schedules(200)) { try_port(m, false, Meanwhile::Sleeps); }

EXPLORE_TEST(ExploredSerial, SleepsAtAnyTime, .processors = 2, .schedules = schedules(600), .power = true) { try_port(m, false); }
EXPLORE_TEST(ExploredSerial, CancelledAtAnyTime, .processors = 2, .schedules = schedules(600), .cancel = true) {
  RULE("K.IRP-2");
  try_port(m, true);
}
EXPLORE_TEST(ExploredSerial, PulledOutAtAnyTime, .processors = 2, .schedules = schedules(600), .removal = true) { try_port(m, true); }

// -- ac97 ----------------------------------------------------------------------------------------------------------------------------------------

constexpr std::size_t kPeriod = 96;  // frames, 2 ms

// Who comes second asks in vain, or comes when the first has gone.
void play(bool cancels) {
  lab::DeviceFile file;
  if (!opened(file, "\\\\.\\Ac97_0")) return;
  std::uint32_t frames[3][kPeriod];
  for (auto& period : frames)
    for (std::uint32_t& frame : period) frame = 0x10001;
  lab::PendingIo writes[3];
  for (int i = 0; i < 3; ++i) writes[i] = file.begin_write(frames[i], sizeof frames[i]);
  lab::PendingIo drain = file.begin_control(IOCTL_AC97_DRAIN);
  AC97_POSITION at = {};
  expect_one_of(file.control(IOCTL_AC97_GET_POSITION, nullptr, 0, &at, sizeof at));
  const AC97_VOLUME volume = {3, 3, 0, 0};
  expect_one_of(file.control(IOCTL_AC97_SET_VOLUME, &volume, sizeof volume));
  if (cancels) {
    writes[2].cancel();
    drain.cancel();
  }
  for (lab::PendingIo& write : writes) expect_one_of(write.finish());
  expect_one_of(drain.finish());
  file.close();
}

void try_sound(lab::Machine& m, bool cancels, Meanwhile meanwhile = Meanwhile::Nothing) {
  cards::CardBoard board;
  board.add(cards::SoundCardWish{});
  m.attach(board);
  Loaded loaded(m, "ac97", "sound", {{"PeriodFrames", std::uint64_t{kPeriod}}, {"PeriodsAhead", std::uint64_t{2}}});
  loaded.use([cancels] { play(cancels); }, [] { play(false); }, 3ms, doing(meanwhile, loaded));
}

EXPLORE_TEST(ExploredAc97, PlaysAndDrains, .processors = 2, .schedules = schedules(200)) { try_sound(m, false); }
EXPLORE_TEST(ExploredAc97, Cancels, .processors = 2, .schedules = schedules(200)) { try_sound(m, true); }
EXPLORE_TEST(ExploredAc97, PulledOutWhileItPlays, .processors = 2, .schedules = schedules(800)) { try_sound(m, false, Meanwhile::PulledOut); }
EXPLORE_TEST(ExploredAc97, SleepsAtAnyTime, .processors = 2, .schedules = schedules(400), .power = true) { try_sound(m, true); }
EXPLORE_TEST(ExploredAc97, CancelledAtAnyTime, .processors = 2, .schedules = schedules(600), .cancel = true) { try_sound(m, false); }
// The last write is being cancelled when all that was written is to be heard.
EXPLORE_TEST(ExploredAc97, ADrainWaitsForNoWriteThatIsCancelled, .processors = 2, .schedules = schedules(6000), .cancel = true) {
  cards::CardBoard board;
  board.add(cards::SoundCardWish{});
  m.attach(board);
  Loaded loaded(m, "ac97", "sound", {{"PeriodFrames", std::uint64_t{kPeriod}}, {"PeriodsAhead", std::uint64_t{2}}});
  loaded.use(
      [] {
        lab::DeviceFile file;
        if (!opened(file, "\\\\.\\Ac97_0")) return;
        const std::uint32_t frames[kPeriod] = {};
        lab::PendingIo write = file.begin_write(frames, sizeof frames);
        expect_one_of(file.control(IOCTL_AC97_DRAIN));
        expect_one_of(write.finish());
        file.close();
      },
      [] {});
}
EXPLORE_TEST(ExploredAc97, PulledOutAtAnyTime, .processors = 2, .schedules = schedules(600), .removal = true) { try_sound(m, true); }
EXPLORE_TEST(ExploredAc97, StoppedAndStartedWhileItPlays, .processors = 2, .schedules = schedules(200)) {
  try_sound(m, false, Meanwhile::StoppedAndStarted);
}

}  // namespace
}  // namespace kdpc
