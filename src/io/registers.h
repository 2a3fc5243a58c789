// Registers and ports, for drivers. READ_REGISTER_… and WRITE_REGISTER_… find the bus address in the address of a mapping.
#pragma once
#include "io/manager.h"
#include "kdpc/device.h"
#include "machine/mapped_registers.h"

namespace kdpc::io {

// Registers of a device that was pulled out: they read all ones.
struct AbsentRange {
  AbsentRange* next;    // R
  RegisterRange range;  // I
};

namespace registers {

inline bool is_mapped_address(const volatile void* address) { return is_mapped_register(reinterpret_cast<std::uintptr_t>(address)); }
bool physical_address(const void* address, std::uint64_t& physical);
// From now on these registers do not answer.
void pull_out(const RegisterRange& range);

}  // namespace registers
}  // namespace kdpc::io
