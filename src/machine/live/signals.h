// The one signal by which processors are interrupted, and what is blocked when.
//
//   K.LIVE-7  The handler begins with everything blocked, on the stack of the code it has interrupted. It lets signals in again only after it has raised the
//             level, so that no second handler moves the thread to another processor before the first has looked at its own.
//   K.LIVE-8  A thread is switched away from, and to, with signals let in: whoever goes on finds them so.
#pragma once
#include <csignal>
#include <cstdint>

namespace kdpc::live::signals {

// Interrupts are not brought by the signal, which is sent all the same and ignored, but found where a processor looks for them by itself: at each window, which
// each lowering is, while it spins, stalls or idles, and now and then while driver code counts its edges. For ThreadSanitizer, which keeps signals back until a
// library's function is called. What never comes to such a place is neither interrupted nor frozen.
#ifdef KDPC_POLLED_DELIVERY
inline constexpr bool kPolled = true;
#else
inline constexpr bool kPolled = false;
#endif
inline constexpr std::int64_t kEdgeBudget =
    kPolled ? 200 : std::int64_t{1} << 62;  // edges of driver code, on all processors, from one look to the next

inline constexpr int kInterrupt = SIGURG;  // ignored by default, and debuggers pass it on without a word

void install();
void uninstall();
std::uint32_t process();  // this one's id

void let_in();
void block();
// Before and after pthreads are created that must not be disturbed.
void block_all(sigset_t& before);
void restore(const sigset_t& before);

}  // namespace kdpc::live::signals
