// Who decides whether a routine fails that may, for want of memory or the like: nobody, and it does not; or whoever explores a driver's behaviour then.
#pragma once
#include <cstdint>

namespace kdpc::faults {

// The routine's number (wdk/routine.h), and its caller. The host's own; set while no processor runs.
using Chooser = bool (*)(std::uint16_t routine, std::uintptr_t caller);
inline Chooser chooser = nullptr;

}  // namespace kdpc::faults
