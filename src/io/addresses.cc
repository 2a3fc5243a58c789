// Questions about addresses: where a routine of the system is, and whether something can be touched.
#include "io/objects.h"
#include "this_machine.h"
#include "wdk/routine.h"

// Every export by its own name, whatever its type: only its address is asked for.
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule) extern "C" const char kdpc_address_of_##name __asm__(#name);
#include "wdk/routines.def"
#undef ROUTINE

namespace kdpc::io {

namespace {

struct Export {
  const char* name;
  const void* address;
};
constexpr Export kExports[] = {
#define ROUTINE(name, lowest, highest, subcode, rule, ddi_rule) {#name, &kdpc_address_of_##name},
#include "wdk/routines.def"
#undef ROUTINE
};

bool is_in_a_driver(const void* address) {
  Guard guard;
  for (const Driver* driver = manager().drivers; driver != nullptr; driver = driver->next) {
    const auto* start = static_cast<const char*>(driver->object.DriverStart);
    if (address >= start && address < start + driver->object.DriverSize) return true;
  }
  return false;
}

bool is_on_this_stack(const void* address) {
  const StackLimits limits = Machine::stack_limits();
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  return value >= limits.low && value < limits.high;
}

}  // namespace
}  // namespace kdpc::io

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

PVOID NTAPI MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName) {
  KDPC_ROUTINE(MmGetSystemRoutineAddress);
  for (const Export& routine : kExports)
    if (view(*SystemRoutineName) == Name(std::string_view(routine.name)).view()) return const_cast<void*>(routine.address);
  return nullptr;
}

BOOLEAN NTAPI MmIsAddressValid(PVOID VirtualAddress) {
  KDPC_ROUTINE(MmIsAddressValid);
  return sys().pool.contains(VirtualAddress) || is_on_this_stack(VirtualAddress) || is_in_a_driver(VirtualAddress) ? TRUE : FALSE;
}

}  // extern "C"
