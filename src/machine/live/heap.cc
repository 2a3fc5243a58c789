// The heap of the process, for code in the machine: a thread is not preempted, and a processor not frozen, while it is in there, as whoever came next would
// wait for ever for what the heap keeps locked. So threads and DPCs may allocate, as from NT's nonpaged pool. ISRs must not.
//
// These are the C library's entry points, in front of its own; a sanitizer has others.
#include "machine/sanitizer.h"

#if !defined(KDPC_ASAN) && !defined(KDPC_TSAN)

#include <cerrno>
#include <cstddef>

#include "machine/live/lock.h"

extern "C" {

void* __libc_malloc(std::size_t size);                           // NOLINT
void __libc_free(void* block);                                   // NOLINT
void* __libc_calloc(std::size_t count, std::size_t size);        // NOLINT
void* __libc_realloc(void* block, std::size_t size);             // NOLINT
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT

using kdpc::Irql;
using kdpc::live::Undisturbed;

void* malloc(std::size_t size) noexcept {
  const Undisturbed undisturbed(Irql::Synch);
  return __libc_malloc(size);
}

void free(void* block) noexcept {
  const Undisturbed undisturbed(Irql::Synch);
  __libc_free(block);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  const Undisturbed undisturbed(Irql::Synch);
  return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) noexcept {
  const Undisturbed undisturbed(Irql::Synch);
  return __libc_realloc(block, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  const Undisturbed undisturbed(Irql::Synch);
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }

int posix_memalign(void** block, std::size_t alignment, std::size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* got = memalign(alignment, size);
  if (got == nullptr) return ENOMEM;
  *block = got;
  return 0;
}

}  // extern "C"

#endif
