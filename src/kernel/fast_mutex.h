// Fast mutexes, which are guarded mutexes too: one owner, no recursion, no waiting for several at once, and only one word while nobody waits.
//
//   K.FAST-1  count is 1 when free, else 0 less the number of those who wait. Who makes it less than 0 waits for the event; whoever releases
//             passes the mutex on through it, so the order of arrival holds.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernel/wait.h"

namespace kdpc {

// NT's FAST_MUTEX and KGUARDED_MUTEX.
struct FastMutex {
  volatile std::int32_t count;  // X
  Thread* volatile owner;       // X  written by the owner
  std::uint32_t contention;     // X  how often somebody had to wait
  EventObject event;
  std::uint32_t old_irql;  //    the owner's, to go back to
};
static_assert(sizeof(FastMutex) == 0x38 && offsetof(FastMutex, event) == 0x18 && offsetof(FastMutex, old_irql) == 0x30);

namespace fast_mutex {

void initialize(FastMutex& mutex);
// At most Apc, and APCs are kept off somehow: by the level, or by a region. Recursion is a bug check, or for ever on a free build.
void acquire(FastMutex& mutex);
[[nodiscard]] bool try_acquire(FastMutex& mutex);
// By a thread that does not own it: bug check.
void release(FastMutex& mutex);

}  // namespace fast_mutex
}  // namespace kdpc
