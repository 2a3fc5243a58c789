// A serial port of our own with its driver, and an application's side of it.
#pragma once
#include <gmock/gmock.h>
#include <ntddser.h>
#include <wdm.h>

#include "kdpc/cards.h"
#include "kdpc/test.h"

namespace kdpc::test::serial {

using namespace std::chrono_literals;
using cards::SerialPort;

// A port with its driver, and an application's side of it.
struct Port {
  explicit Port(lab::Machine& machine, const cards::SerialPortWish& wish = {}, const lab::DriverSettings& settings = {})
      : m(machine), far(board.add(wish)) {
    m.attach(board);
    works = m.load_driver(KDPC_TEST_DRIVERS "/serial.drv", why, {.settings = settings}) && m.start_device("com1", "serial", why);
    EXPECT_TRUE(works) << why;
  }
  bool unload() {
    const bool well = m.unload_driver("serial", why);
    EXPECT_TRUE(well) << why;
    EXPECT_THAT(m.debug_lines(), ::testing::IsEmpty());
    return well;
  }
  lab::Machine& m;
  cards::CardBoard board;
  SerialPort& far;
  std::string why;
  bool works = false;
};

// What follows runs inside.
using File = lab::DeviceFile;
void set(File& file, std::uint32_t code, const auto& value) { KDPC_EXPECT_EQ(file.control(code, &value, sizeof value).status, STATUS_SUCCESS); }
template <class T>
T get(File& file, std::uint32_t code) {
  T value = {};
  const lab::IoResult result = file.control(code, nullptr, 0, &value, sizeof value);
  KDPC_EXPECT_EQ(result.status, STATUS_SUCCESS);
  KDPC_EXPECT_EQ(result.information, sizeof value);
  return value;
}
inline void control(File& file, std::uint32_t code) { KDPC_EXPECT_EQ(file.control(code).status, STATUS_SUCCESS); }
inline void open(File& file, unsigned baud = 115200, const char* name = "\\\\.\\COM1") {
  KDPC_EXPECT_EQ(file.open(name), STATUS_SUCCESS);
  set(file, IOCTL_SERIAL_SET_BAUD_RATE, SERIAL_BAUD_RATE{baud});
}
inline void set_timeouts(File& file, ULONG interval, ULONG multiplier, ULONG constant, ULONG write_multiplier = 0, ULONG write_constant = 0) {
  set(file, IOCTL_SERIAL_SET_TIMEOUTS, SERIAL_TIMEOUTS{interval, multiplier, constant, write_multiplier, write_constant});
}
struct Read {
  std::int32_t status;
  std::string text;
};
inline Read read(File& file, std::size_t size) {
  char buffer[256] = {};
  const lab::IoResult result = file.read(buffer, size);
  return {result.status, {buffer, result.information}};
}
inline SERIALPERF_STATS statistics(File& file) { return get<SERIALPERF_STATS>(file, IOCTL_SERIAL_GET_STATS); }
inline double milliseconds() { return static_cast<double>(KeQueryPerformanceCounter(nullptr).QuadPart) / 10'000; }

// One application at work, of which the test sees how far it is.
struct Application {
  Application(lab::Machine& machine, std::function<void()> body) : m(machine), task(m.start(0, PASSIVE_LEVEL, std::move(body))) {}
  void finish(lab::Duration limit = 20s) {
    EXPECT_TRUE(m.run_until([&] { return task.done(); }, limit)) << m.outcome().report();
  }
  lab::Machine& m;
  lab::Task task;
};

inline std::string many(std::size_t count) {
  std::string text;
  while (text.size() < count) text += std::to_string(text.size()) + ' ';
  return text.substr(0, count);
}

}  // namespace kdpc::test::serial
