// The host's system calls that are made inside signal handlers and with levels raised: directly, so that nothing of the C library takes part, and no thread's
// errno is written.
#pragma once
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <cstdint>

namespace kdpc::live::calls {

inline long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return result;
}

using Futex = std::atomic<std::uint32_t>;

// Returns when woken, when the word is another, when `nanoseconds` have passed (0: no limit), or for no reason.
inline void wait(const Futex& word, std::uint32_t value, std::uint64_t nanoseconds = 0) {
  const timespec limit{static_cast<time_t>(nanoseconds / 1'000'000'000), static_cast<long>(nanoseconds % 1'000'000'000)};
  call(SYS_futex, reinterpret_cast<long>(&word), FUTEX_WAIT_PRIVATE, value, nanoseconds == 0 ? 0 : reinterpret_cast<long>(&limit));
}
inline void wake(const Futex& word) { call(SYS_futex, reinterpret_cast<long>(&word), FUTEX_WAKE_PRIVATE, 0x7fffffff); }

inline void signal(std::uint32_t process, std::uint32_t thread, int number) { call(SYS_tgkill, process, thread, number); }
// Every thread of this process passes a full fence. Once before: it may be asked for; 0, or why the host does not do such a thing.
inline int prepare_fences() { return static_cast<int>(-call(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)); }
inline void fence_everywhere() { call(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED); }
// For whoever has looked for long enough, and may be in the way of the one it waits for. Not sched_yield: who yields in a loop comes after all others for seconds
// with some hosts (Linux 6.18), or before them.
inline void give_way() {
  const Futex nobody_wakes{0};
  wait(nobody_wakes, 0, 20'000);
}

// What this host thread has had of its processor.
inline std::uint64_t processor_time() {
  timespec time{};
  call(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, reinterpret_cast<long>(&time));
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

// The host's clock, which knows nothing of the machine's standing still.
inline std::uint64_t host_clock() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace kdpc::live::calls
