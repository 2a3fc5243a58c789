// What driver code reads and writes: one access, as the hooks of a driver's check variant record it (drvcrt/drvcrt_check.c).
//
// A copy or a fill is as many accesses as it touches pieces of 4 KiB. An interlocked operation is one access that writes.
#pragma once
#include <cstdint>

namespace kdpc {

struct Access {
  std::uintptr_t at;
  std::uint64_t how;  // from bit 0: 48 bits pc, 13 bits size, atomic, volatile, write

  std::uintptr_t pc() const { return how & ((std::uint64_t{1} << 48) - 1); }  // behind the call of the hook, which the access itself follows
  std::uint32_t size() const { return static_cast<std::uint32_t>(how >> 48) & 0x1fff; }  // 1 to 4096 bytes
  bool is_atomic() const { return (how >> 61 & 1) != 0; }
  bool is_volatile() const { return (how >> 62 & 1) != 0; }
  bool is_write() const { return how >> 63 != 0; }
};
static_assert(sizeof(Access) == 16);

}  // namespace kdpc
