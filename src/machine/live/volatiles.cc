// What is volatile in the kernel, and in a driver, is read and written by single instructions, and those who do so know that others do it at the same time: to
// ThreadSanitizer that is a relaxed atomic access, which orders nothing else. The compiler asks for these functions before each such access.
//
// Whoever meets such a word with an access that is neither volatile nor atomic, and is not ordered with it, is reported.
#include "machine/sanitizer.h"

#ifdef KDPC_TSAN

#include <sanitizer/tsan_interface_atomic.h>

#define ACCESSES(BITS, BYTES)                                                                                                 \
  extern "C" KDPC_NOT_SEEN void __tsan_volatile_read##BYTES(void* place) {                                                    \
    (void)__tsan_atomic##BITS##_load(static_cast<const volatile __tsan_atomic##BITS*>(place), __tsan_memory_order_relaxed);   \
  }                                                                                                                           \
  extern "C" KDPC_NOT_SEEN void __tsan_volatile_write##BYTES(void* place) {                                                   \
    (void)__tsan_atomic##BITS##_fetch_add(static_cast<volatile __tsan_atomic##BITS*>(place), 0, __tsan_memory_order_relaxed); \
  }

ACCESSES(8, 1)   // NOLINT
ACCESSES(16, 2)  // NOLINT
ACCESSES(32, 4)  // NOLINT
ACCESSES(64, 8)  // NOLINT

#endif
