#include "io/registers.h"

#include "machine/host.h"
#include "this_machine.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::registers {

namespace {

constexpr std::uint32_t kMostReports = 20;  // of accesses that nobody answers: the first ones tell everything

bool is_absent(BusSpace space, std::uint64_t address) {
  if (manager().absent_ranges == nullptr) return false;
  for (const AbsentRange* absent = manager().absent_ranges; absent != nullptr; absent = absent->next)
    if (absent->range.space == space && address >= absent->range.base && address - absent->range.base < absent->range.size) return true;
  return false;
}

constexpr std::uint64_t all_ones(unsigned width) { return ~std::uint64_t{0} >> (64 - 8 * width); }

void nobody_answered(BusSpace space, std::uint64_t address, unsigned width, std::uint64_t value, bool write) {
  Machine::observe(RegisterAccessed{address, value, static_cast<std::uint8_t>(width), write});
  if (is_absent(space, address) || __atomic_add_fetch(&manager().strays_reported, 1, __ATOMIC_SEQ_CST) > kMostReports) return;
  remark("kdpc: %s of %u bytes %s %s 0x%llx: no device has a register there", write ? "write" : "read", width, write ? "to" : "from",
         space == BusSpace::Port ? "port" : "bus address", static_cast<unsigned long long>(address));
}

PVOID map(PHYSICAL_ADDRESS address, SIZE_T size) {
  const auto physical = static_cast<std::uint64_t>(address.QuadPart);
  if (size == 0 || physical + size > kMappedRegistersSize) return nullptr;
  return reinterpret_cast<PVOID>(kMappedRegisters + physical);
}

std::uint64_t bus_address(const volatile void* address) { return reinterpret_cast<std::uintptr_t>(address) - kMappedRegisters; }
std::uint64_t port_number(const volatile void* address) { return reinterpret_cast<std::uintptr_t>(address) & 0xFFFF; }

}  // namespace

bool physical_address(const void* address, std::uint64_t& physical) {
  if (!is_mapped_address(address)) return false;
  physical = bus_address(address);
  return true;
}

void pull_out(const RegisterRange& range) {
  auto* absent = make<AbsentRange>();
  if (absent == nullptr) return;
  absent->range = range;
  Guard guard;
  absent->next = manager().absent_ranges;
  manager().absent_ranges = absent;
}

template <class T>
T read(BusSpace space, std::uint64_t address) {
  std::uint64_t value = 0;
  if (is_absent(space, address) || !host::bus_read(space, address, sizeof(T), value)) {
    value = all_ones(sizeof(T));
    nobody_answered(space, address, sizeof(T), value, false);
  }
  return static_cast<T>(value);
}

template <class T>
void write(BusSpace space, std::uint64_t address, T value) {
  if (is_absent(space, address) || !host::bus_write(space, address, sizeof(T), value)) nobody_answered(space, address, sizeof(T), value, true);
}

// Memory that is no register may be read this way too: some drivers do it with memory they share with the device.
template <class T>
T read_register(const volatile T* address) {
  return is_mapped_address(address) ? read<T>(BusSpace::Memory, bus_address(address)) : *address;
}
template <class T>
void write_register(volatile T* address, T value) {
  if (is_mapped_address(address)) {
    write<T>(BusSpace::Memory, bus_address(address), value);
  } else {
    *address = value;
  }
}

}  // namespace kdpc::io::registers

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

PVOID NTAPI MmMapIoSpace(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, MEMORY_CACHING_TYPE) {
  KDPC_ROUTINE(MmMapIoSpace);
  KDPC_MAY_FAIL(MmMapIoSpace, nullptr);
  return registers::map(PhysicalAddress, NumberOfBytes);
}

PVOID NTAPI MmMapIoSpaceEx(PHYSICAL_ADDRESS PhysicalAddress, SIZE_T NumberOfBytes, ULONG) {
  KDPC_ROUTINE(MmMapIoSpaceEx);
  KDPC_MAY_FAIL(MmMapIoSpaceEx, nullptr);
  return registers::map(PhysicalAddress, NumberOfBytes);
}

VOID NTAPI MmUnmapIoSpace(PVOID BaseAddress, SIZE_T) {
  KDPC_ROUTINE(MmUnmapIoSpace);
  if (!registers::is_mapped_address(BaseAddress)) remark("kdpc: MmUnmapIoSpace was given %p, which MmMapIoSpace has not returned", BaseAddress);
}

#define KDPC_REGISTER(Name, Type)                                                                             \
  Type NTAPI READ_REGISTER_##Name(volatile Type* Register) {                                                  \
    KDPC_ROUTINE(READ_REGISTER_##Name);                                                                       \
    return registers::read_register(Register);                                                                \
  }                                                                                                           \
  VOID NTAPI WRITE_REGISTER_##Name(volatile Type* Register, Type Value) {                                     \
    KDPC_ROUTINE(WRITE_REGISTER_##Name);                                                                      \
    registers::write_register(Register, Value);                                                               \
  }                                                                                                           \
  VOID NTAPI READ_REGISTER_BUFFER_##Name(volatile Type* Register, Type* Buffer, ULONG Count) {                \
    KDPC_ROUTINE(READ_REGISTER_BUFFER_##Name);                                                                \
    for (ULONG index = 0; index < Count; ++index) Buffer[index] = registers::read_register(Register + index); \
  }                                                                                                           \
  VOID NTAPI WRITE_REGISTER_BUFFER_##Name(volatile Type* Register, Type* Buffer, ULONG Count) {               \
    KDPC_ROUTINE(WRITE_REGISTER_BUFFER_##Name);                                                               \
    for (ULONG index = 0; index < Count; ++index) registers::write_register(Register + index, Buffer[index]); \
  }

#define KDPC_PORT(Name, Type)                                                                                                          \
  Type NTAPI READ_PORT_##Name(Type* Port) {                                                                                            \
    KDPC_ROUTINE(READ_PORT_##Name);                                                                                                    \
    return registers::read<Type>(BusSpace::Port, registers::port_number(Port));                                                        \
  }                                                                                                                                    \
  VOID NTAPI WRITE_PORT_##Name(Type* Port, Type Value) {                                                                               \
    KDPC_ROUTINE(WRITE_PORT_##Name);                                                                                                   \
    registers::write<Type>(BusSpace::Port, registers::port_number(Port), Value);                                                       \
  }                                                                                                                                    \
  VOID NTAPI READ_PORT_BUFFER_##Name(Type* Port, Type* Buffer, ULONG Count) {                                                          \
    KDPC_ROUTINE(READ_PORT_BUFFER_##Name);                                                                                             \
    for (ULONG index = 0; index < Count; ++index) Buffer[index] = registers::read<Type>(BusSpace::Port, registers::port_number(Port)); \
  }                                                                                                                                    \
  VOID NTAPI WRITE_PORT_BUFFER_##Name(Type* Port, Type* Buffer, ULONG Count) {                                                         \
    KDPC_ROUTINE(WRITE_PORT_BUFFER_##Name);                                                                                            \
    for (ULONG index = 0; index < Count; ++index) registers::write<Type>(BusSpace::Port, registers::port_number(Port), Buffer[index]); \
  }

KDPC_REGISTER(UCHAR, UCHAR)
KDPC_REGISTER(USHORT, USHORT)
KDPC_REGISTER(ULONG, ULONG)
KDPC_REGISTER(ULONG64, ULONG64)
KDPC_PORT(UCHAR, UCHAR)
KDPC_PORT(USHORT, USHORT)
KDPC_PORT(ULONG, ULONG)

}  // extern "C"
