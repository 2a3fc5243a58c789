// Registers and ports, for drivers. Mapped registers have addresses in the upper half, where nothing of a process can be: READ_REGISTER_… and
// WRITE_REGISTER_… find the bus address in them, and a plain dereference faults at an address that tells what it was.
#pragma once
#include "io/manager.h"
#include "kdpc/device.h"

namespace kdpc::io {

// Registers of a device that was pulled out: they read all ones.
struct AbsentRange {
  AbsentRange* next;   // R
  RegisterRange range; // I
};

namespace registers {

inline constexpr std::uintptr_t kMappedBase = 0xFFFF'A000'0000'0000;  // + bus address
inline constexpr std::uint64_t kMostPhysical = std::uint64_t{1} << 44;
inline bool is_mapped_address(const volatile void* address) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  return value >= kMappedBase && value - kMappedBase < kMostPhysical;
}
bool physical_address(const void* address, std::uint64_t& physical);
// From now on these registers do not answer.
void pull_out(const RegisterRange& range);

}  // namespace registers
}  // namespace kdpc::io
