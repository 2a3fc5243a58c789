// What lies at the same place in every run: the World, and behind it the drivers' images. Linux puts executables, libraries, heap and stacks above.
//
// drvcrt.c and cmake/KdpcDriver.cmake know these places too.
#pragma once
#include <cstdint>

namespace kdpc {

#ifdef KDPC_SANITIZE_THREADS
// ThreadSanitizer has its own memory where all else is: left are 341 GiB below the lowest place of an executable.
inline constexpr std::uintptr_t kWorldBase = 0x550000000000;
inline constexpr std::uintptr_t kDriversBegin = 0x551000000000;
inline constexpr std::uintptr_t kDriversEnd = 0x555000000000;
#else
inline constexpr std::uintptr_t kWorldBase = 0x400000000000;
inline constexpr std::uintptr_t kDriversBegin = 0x410000000000;
inline constexpr std::uintptr_t kDriversEnd = 0x510000000000;
#endif

}  // namespace kdpc
