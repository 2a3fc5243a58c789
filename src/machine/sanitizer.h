// What AddressSanitizer must be told about stacks and copies of memory; nothing without it.
#pragma once
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define KDPC_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KDPC_ASAN 1
#endif
#endif

#ifdef KDPC_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define KDPC_NO_ASAN __attribute__((no_sanitize("address")))
#else
#define KDPC_NO_ASAN
#endif

namespace kdpc::sanitizer {

// Around every change of stack: leaving() on the old one, arrived() on the new one. `fake` null: the old stack will not be used again.
inline void leaving([[maybe_unused]] void** fake, [[maybe_unused]] const void* to_low, [[maybe_unused]] std::size_t to_size) {
#ifdef KDPC_ASAN
  __sanitizer_start_switch_fiber(fake, to_low, to_size);
#endif
}
inline void arrived([[maybe_unused]] void* fake, [[maybe_unused]] const void** from_low = nullptr,
                    [[maybe_unused]] std::size_t* from_size = nullptr) {
#ifdef KDPC_ASAN
  __sanitizer_finish_switch_fiber(fake, from_low, from_size);
#endif
}

// Abandoned frames leave their red zones behind.
inline void unpoison([[maybe_unused]] const void* low, [[maybe_unused]] std::size_t size) {
#ifdef KDPC_ASAN
  __asan_unpoison_memory_region(low, size);
#endif
}

// memcpy that may read and write red zones.
inline void copy(void* to, const void* from, std::size_t size) { asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory"); }

}  // namespace kdpc::sanitizer
