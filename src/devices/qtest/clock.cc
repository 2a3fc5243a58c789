#include "devices/qtest/clock.h"

#include <fmt/format.h>

#include <algorithm>

namespace kdpc::qtest {
namespace {

constexpr std::uint64_t kUnit = 10;  // nanoseconds per count of the HPET

// Registers of the HPET at its usual place in a PC.
constexpr std::uint64_t kEnable = 0xfed00010;
constexpr std::uint64_t kComparator = 0xfed00108;  // of timer 0

// QEMU counts nanoseconds in signed 64 bits. Half of that is 146 years.
constexpr std::uint64_t kEndOfTime = std::uint64_t{1} << 62;

}  // namespace

bool Clock::start() {
  channel_.post(fmt::format("writeq {:#x} 1", kEnable));
  return channel_.flush();
}

bool Clock::run(std::uint64_t until, const bool& interrupted) {
  until = std::min(until, kEndOfTime);
  while (!interrupted) {
    if (until <= reached_) return true;
    if (until - qemu_ < kUnit) {
      reached_ = until;
      return true;
    }
    // The sentinel of an earlier call, which a line change cut short, or of the last turn, which a device's timer cut short, may still serve.
    if (sentinel_ <= qemu_ || sentinel_ > until || until - sentinel_ >= kUnit) place_sentinel(until);
    const std::optional<std::uint64_t> now = channel_.ask("clock_step");
    if (!now) return false;
    qemu_ = *now;
    reached_ = std::max(reached_, qemu_);
  }
  return true;
}

// The comparator fires a whole number of counts after QEMU's now, wherever between two counts that lies.
void Clock::place_sentinel(std::uint64_t until) {
  const std::uint64_t counts = (until - qemu_) / kUnit;
  char command[48];
  const auto written = fmt::format_to_n(command, sizeof command, "writeq {:#x} {:#x}", kComparator, qemu_ / kUnit + counts);
  channel_.post({command, written.size});
  sentinel_ = qemu_ + counts * kUnit;
}

}  // namespace kdpc::qtest
