// What an export says first behind KDPC_ROUTINE if it may fail though its caller has made no mistake: it returns what it then returns.
//
//   PIRP NTAPI IoAllocateIrp(…) { KDPC_ROUTINE(IoAllocateIrp); KDPC_MAY_FAIL(IoAllocateIrp, nullptr); … }
#pragma once
#include <wdm.h>

#include "kernel/faults.h"
#include "wdk/routine.h"

namespace kdpc::wdk {

// What a routine returns that has got no memory. It does not return to a caller that has asked for an exception then.
inline void* no_memory(bool raises) {
  if (raises) ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
  return nullptr;
}

}  // namespace kdpc::wdk

#define KDPC_MAY_FAIL(routine, result)                                                                                                           \
  if (::kdpc::faults::chooser != nullptr && ::kdpc::faults::chooser(static_cast<std::uint16_t>(::kdpc::wdk::RoutineId::routine),                 \
                                                                    reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)))) [[unlikely]] \
  return result
