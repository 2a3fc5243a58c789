// The kernel stack in use. NT gives a driver 24 KiB of it; ours are larger, and the answers are as if they were not.
#include "io/manager.h"
#include "this_machine.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

constexpr std::uintptr_t kNtStack = 24 * 1024;

}  // namespace

extern "C" {

VOID NTAPI IoGetStackLimits(PULONG_PTR LowLimit, PULONG_PTR HighLimit) {
  KDPC_ROUTINE(IoGetStackLimits);
  const StackLimits limits = Machine::stack_limits();
  *HighLimit = limits.high;
  *LowLimit = limits.high - limits.low > kNtStack ? limits.high - kNtStack : limits.low;
}

ULONG_PTR NTAPI IoGetRemainingStackSize() {
  KDPC_ROUTINE(IoGetRemainingStackSize);
  const std::uintptr_t used = Machine::stack_limits().high - reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return used < kNtStack ? kNtStack - used : 0;
}

}  // extern "C"
