#include "machine/sim/guard.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <iterator>

#include "base/invariant.h"
#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "machine/exception_record.h"
#include "machine/fault_report.h"
#include "machine/frames.h"
#include "machine/sanitizer.h"
#include "machine/sim/accesses.h"
#include "machine/sim/explain.h"
#include "machine/sim/fiber.h"
#include "machine/sim/pages.h"
#include "machine/sim/run.h"
#include "machine/sim/sim_machine.h"
#include "machine/sim/world.h"

namespace kdpc::sim::guard {

namespace {

using faults::Fault;

static_assert(kWorldBase + sizeof(Fixed) <= kLastExceptionPlace);

constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
constexpr std::size_t kSignalStack = 256 * 1024;  // the unwinder, and dl_iterate_phdr under a sanitizer, want room

struct sigaction replaced[std::size(kFaults)];
struct sigaction replaced_timer;
stack_t replaced_stack;
void* signal_stack = nullptr;
timer_t timer;
bool installed = false;
std::uint64_t patience = 30'000;  // ms
std::uint64_t switches_seen = 0;

// Pageable memory that may be touched: it is brought in, and the instruction is tried again.
bool bring_in(int signal, const siginfo_t& info, const Fault& fault) {
  if (signal != SIGSEGV || info.si_code == SI_KERNEL || !world::is_mapped()) return false;
  const bool of_driver = fixed().inside && !fixed().in_host_code && current().irql >= Irql::Dispatch;
  // The thread's own permission: not of what has interrupted it.
  const bool allowed = of_driver && faults::is_kernel_code(fault.instruction) && current().stack == StackKind::Thread &&
                       current().processor->current_thread->may_touch_pageable != 0;
  return (!of_driver || allowed) && pages::open(fault.address);
}

faults::Place place_of(int signal, const siginfo_t& info, const Fault& fault) {
  const Slot& slot = current();
  const world::Overflow overflow = info.si_code != SI_KERNEL ? world::overflow_at(fault.address) : world::Overflow{};
  const bool pageable = signal == SIGSEGV && info.si_code != SI_KERNEL && pages::contains(fault.address);
  return {slot.number, slot.irql, slot.stack, pageable, overflow.happened, overflow.kind};
}

// The signal mask was not changed (SA_NODEFER), and the signal stack is left like any other fiber's.
[[noreturn]] void end_run(host::Outcome outcome) {
  run::finish(std::move(outcome));
  fiber::abandon();
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const Fault fault = faults::fault_of(*info, *static_cast<const ucontext_t*>(context));
  if (bring_in(signal, *info, fault)) return;
  if (!world::is_mapped() || !fixed().inside || fixed().in_host_code) {
    // The host's own: as if this handler were not there; the instruction is tried again.
    for (unsigned index = 0; index < std::size(kFaults); ++index)
      if (kFaults[index] == signal) ::sigaction(signal, &replaced[index], nullptr);
    return;
  }
  const faults::Place place = place_of(signal, *info, fault);
  BugcheckReport report = faults::report_of(signal, *info, *static_cast<const ucontext_t*>(context), place);
  frames::fill_of_signal(report.frames, fault.instruction, fault.frame, fault.stack_pointer, world::is_on_stack);
  accesses::tell();
  current().irql = Irql::High;
  Machine::observe(Bugchecked{report.code, report.parameters.p1, report.parameters.p2, report.parameters.p3, report.parameters.p4, place.pageable});
  end_run({host::Ended::Bugcheck, {}, report});
}

void on_timer(int, siginfo_t*, void* context) {
  if (!world::is_mapped() || !fixed().inside || fixed().in_host_code || patience == 0) return;
  const std::uint64_t switches = fixed().switches;
  if (switches != switches_seen) {
    switches_seen = switches;
    return;
  }
  const Fault where = faults::fault_of({}, *static_cast<const ucontext_t*>(context));
  std::uintptr_t frames[kMaxFrames];
  frames::fill_of_signal(frames, where.instruction, where.frame, where.stack_pointer, world::is_on_stack);
  std::string text = fmt::format(
      "no progress: for {} s of host time this has reached no point at which time could pass; an endless loop that calls nobody?", patience / 1000.0);
  for (unsigned index = 0; frames[index] != 0; ++index) text += "\n  at " + explain::place(frames[index]);
  end_run({host::Ended::NoProgress, text, {}});
}

constexpr int timer_signal() { return SIGVTALRM; }

void arm() {
  // Two expirations without a switch in between: at least half of the time has passed, at most all of it.
  const std::uint64_t half = patience / 2;
  itimerspec times{};
  times.it_interval.tv_sec = times.it_value.tv_sec = static_cast<time_t>(half / 1000);
  times.it_interval.tv_nsec = times.it_value.tv_nsec = static_cast<long>(half % 1000 * 1'000'000);
  ::timer_settime(timer, 0, &times, nullptr);
}

}  // namespace

void install() {
  if (installed) return;
  installed = true;
  faults::learn_code();
  signal_stack = ::mmap(nullptr, kSignalStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  KDPC_INVARIANT("K.SIM-8", signal_stack != MAP_FAILED);
  stack_t stack{};
  stack.ss_sp = signal_stack;
  stack.ss_size = kSignalStack;
  ::sigaltstack(&stack, &replaced_stack);
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
  for (unsigned index = 0; index < std::size(kFaults); ++index) ::sigaction(kFaults[index], &action, &replaced[index]);
  action.sa_sigaction = on_timer;
  action.sa_flags |= SA_RESTART;
  ::sigaction(timer_signal(), &action, &replaced_timer);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = timer_signal();
  event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
  const int refused = ::timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer);
  KDPC_INVARIANT("K.SIM-9", refused == 0);
  switches_seen = 0;
  arm();
}

void remove() {
  if (!installed) return;
  installed = false;
  ::timer_delete(timer);
  ::sigaction(timer_signal(), &replaced_timer, nullptr);
  for (unsigned index = 0; index < std::size(kFaults); ++index) ::sigaction(kFaults[index], &replaced[index], nullptr);
  ::sigaltstack(&replaced_stack, nullptr);
  ::munmap(signal_stack, kSignalStack);
}

void set_patience(std::uint64_t milliseconds) {
  patience = milliseconds;
  if (installed) arm();
}

}  // namespace kdpc::sim::guard
