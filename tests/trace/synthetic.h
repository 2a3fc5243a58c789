// Events made by hand, for testing sinks without a machine.
#pragma once
#include "machine/sink.h"

namespace kdpc::test {

inline constexpr std::uintptr_t kWorld = 0x400000000000;

inline Address in_world(std::uintptr_t offset) { return Address::at(kWorld + offset); }

// Says things to one sink as one processor.
struct Speaker {
  EventSink& sink;
  std::uint16_t processor = 0;
  std::uint8_t irql = 0;
  std::uint32_t thread = 10;

  void at(std::uint64_t time, const Event& event) const { sink.event({time, processor, irql, thread}, event); }
};

}  // namespace kdpc::test
