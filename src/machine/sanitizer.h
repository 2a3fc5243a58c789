// What AddressSanitizer must be told about stacks and copies of memory, and ThreadSanitizer about fibers; nothing without them.
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

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KDPC_TSAN 1
#endif
#endif

#ifdef KDPC_TSAN
#include <sanitizer/tsan_interface.h>
#define KDPC_NOT_SEEN __attribute__((disable_sanitizer_instrumentation))  // not even its calls
#else
#define KDPC_NOT_SEEN
#endif

namespace kdpc::sanitizer {

// It has a heap of its own.
#if defined(KDPC_ASAN) || defined(KDPC_TSAN)
inline constexpr bool kHasHeap = true;
#else
inline constexpr bool kHasHeap = false;
#endif

// ThreadSanitizer keeps what it knows of a thread, its clock and its calls, in the thread-local data.
#ifdef KDPC_TSAN
inline constexpr bool kFindsRaces = true;
#else
inline constexpr bool kFindsRaces = false;
#endif
// What was done before left(it), on whatever thread, comes before what is done after came_to(it).
inline void left([[maybe_unused]] void* it) {
#ifdef KDPC_TSAN
  __tsan_release(it);
#endif
}
inline void came_to([[maybe_unused]] void* it) {
#ifdef KDPC_TSAN
  __tsan_acquire(it);
#endif
}

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
