// The card that interrupts by itself, and its registers by name.
#pragma once
#include "tests/devices/card_bench.h"

#include "kdpc/cards.h"

namespace kdpc::cards {

enum PulseRegister : std::uint64_t { kControl = 0, kStatus = 4, kCount = 8, kData = 12, kDoorbell = 16, kRing = 20, kMissed = 24 };
inline constexpr std::uint64_t kEnabled = 1, kMasked = 2, kAllOnes = 0xFFFF'FFFF;

struct PulseBench {
  explicit PulseBench(const PulseWish& wish, unsigned granted = 0) : pulse(board.add(wish)), host(board) {
    board.devices()[0]->grant_messages(granted);
  }
  std::uint64_t read(PulseRegister at) { return host.read(0, at, 4); }
  void write(PulseRegister at, std::uint64_t value) { host.write(0, at, value, 4); }
  void clear() { write(kStatus, 1); }

  CardBoard board;
  Pulse& pulse;
  CardBench host;
};

// One that is enabled from the beginning.
struct EnabledPulse : PulseBench {
  explicit EnabledPulse(const PulseWish& wish, unsigned granted = 0, std::uint64_t control = kEnabled) : PulseBench(wish, granted) {
    write(kControl, control);
  }
};

inline PulseWish every_ten(std::uint64_t count = kNever) { return {.first = 5 * kMicrosecond, .period = 10 * kMicrosecond, .count = count}; }

}  // namespace kdpc::cards
