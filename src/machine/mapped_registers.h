// Where device registers that a driver has mapped appear to it: in the upper half, where nothing of a process can be, so that touching them like
// memory faults, at an address that tells what it was.
#pragma once
#include <cstdint>

namespace kdpc {

inline constexpr std::uintptr_t kMappedRegisters = 0xFFFF'A000'0000'0000;  // + bus address
inline constexpr std::uint64_t kMappedRegistersSize = std::uint64_t{1} << 44;

constexpr bool is_mapped_register(std::uintptr_t address) { return address >= kMappedRegisters && address - kMappedRegisters < kMappedRegistersSize; }

inline constexpr const char* kRegisterTouched =
    "Device registers were touched like memory; they are reached with READ_REGISTER_… and WRITE_REGISTER_….";

}  // namespace kdpc
