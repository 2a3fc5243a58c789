#include "machine/live/segments.h"

#include <asm/prctl.h>
#include <sys/auxv.h>

#include "machine/live/calls.h"
#include "machine/sanitizer.h"

namespace kdpc::live::segments {

namespace {

constexpr unsigned long kMayUseInstructions = 1 << 1;  // HWCAP2_FSGSBASE
bool by_instruction = false;

}  // namespace

void find_out() { by_instruction = (::getauxval(AT_HWCAP2) & kMayUseInstructions) != 0; }

std::uintptr_t fs() {
  std::uintptr_t base = 0;
  calls::call(SYS_arch_prctl, ARCH_GET_FS, reinterpret_cast<long>(&base));
  return base;
}

// A call that a sanitizer sees would begin with one thread's data and end with another's.
KDPC_NOT_SEEN void set_fs(std::uintptr_t base) {
  if (by_instruction) {
    asm volatile("wrfsbase %0" : : "r"(base) : "memory");
  } else {
    calls::call(SYS_arch_prctl, ARCH_SET_FS, static_cast<long>(base));
  }
}

void set_gs(std::uintptr_t base) {
  if (by_instruction) {
    asm volatile("wrgsbase %0" : : "r"(base) : "memory");
  } else {
    calls::call(SYS_arch_prctl, ARCH_SET_GS, static_cast<long>(base));
  }
}

}  // namespace kdpc::live::segments
