#include "machine/live/signals.h"

#include <pthread.h>
#include <unistd.h>

#include "machine/live/calls.h"
#include "machine/live/delivery.h"

namespace kdpc::live::signals {

namespace {

constexpr std::size_t kMaskSize = 8;  // the host kernel's sigset_t

constexpr std::uint64_t bit_of(int number) { return std::uint64_t{1} << (number - 1); }
// Faults are never blocked: the host would end the process. The handler may be what a stack has no room for.
constexpr int kFaultNumbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS};
constexpr std::uint64_t faults() {
  std::uint64_t mask = 0;
  for (const int number : kFaultNumbers) mask |= bit_of(number);
  return mask;
}
constexpr std::uint64_t kFaults = faults();
constexpr std::uint64_t kAll = ~kFaults, kAllButInterrupts = kAll & ~bit_of(kInterrupt);

struct sigaction before_us;
std::uint32_t process_id = 0;

void set_mask(const std::uint64_t& mask) { calls::call(SYS_rt_sigprocmask, SIG_SETMASK, reinterpret_cast<long>(&mask), 0, kMaskSize); }

}  // namespace

void install() {
  process_id = static_cast<std::uint32_t>(::getpid());
  if constexpr (kPolled) {
    ::sigaction(kInterrupt, nullptr, &before_us);
    return;
  }
  struct sigaction action {};
  action.sa_sigaction = delivery::on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  ::sigfillset(&action.sa_mask);
  for (const int fault : kFaultNumbers) ::sigdelset(&action.sa_mask, fault);
  ::sigaction(kInterrupt, &action, &before_us);
}

void uninstall() { ::sigaction(kInterrupt, &before_us, nullptr); }

std::uint32_t process() { return process_id; }

void let_in() { set_mask(kAllButInterrupts); }
void block() { set_mask(kAll); }

void block_all(sigset_t& before) {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
}
void restore(const sigset_t& before) { ::pthread_sigmask(SIG_SETMASK, &before, nullptr); }

}  // namespace kdpc::live::signals
