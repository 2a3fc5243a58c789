// Who is somebody else: what cannot interrupt each other cannot meet.
#pragma once
#include <cstdint>

#include "machine/sink.h"

namespace kdpc::explore {

// Below DISPATCH_LEVEL a thread is somebody; above, a level of a processor is.
inline std::uint32_t lane_of(const Stamp& stamp) {
  constexpr std::uint8_t kDispatch = 2;
  constexpr std::uint32_t kThreads = 1 << 16;
  return stamp.irql < kDispatch ? kThreads + stamp.thread : std::uint32_t{stamp.processor} * 16 + stamp.irql;
}
inline constexpr std::uint32_t kLaneOfDevices = ~std::uint32_t{0};  // what they read and write by themselves

}  // namespace kdpc::explore
