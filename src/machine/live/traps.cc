#include "machine/live/traps.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <iterator>

#include "base/invariant.h"
#include "kernel/system.h"
#include "machine/fault_report.h"
#include "machine/frames.h"
#include "machine/live/arena.h"
#include "machine/live/facts.h"
#include "machine/live/processors.h"
#include "machine/live/run.h"
#include "machine/live/tls.h"

namespace kdpc::live::traps {

namespace {

constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
constexpr std::size_t kStackSize = 256 * 1024;  // the unwinder, and dl_iterate_phdr under a sanitizer, want room
// The host refuses to put a signal's frame where there is no room for it, and does not say for what address.
constexpr std::size_t kLargestFrame = 16 * 1024;

struct sigaction replaced[std::size(kFaults)];

faults::Place place_of(const Slot& slot, Irql level, const siginfo_t& info, const faults::Fault& fault) {
  faults::Place place{slot.number, level, slot.stack, false, false, slot.stack};
  if (info.si_code == SI_KERNEL) {
    place.overflow = fault.stack_pointer >= slot.stack_low && fault.stack_pointer - slot.stack_low < kLargestFrame;
  } else if (const arena::Overflow overflow = arena::overflow_at(fault.address); overflow.happened) {
    place.overflow = true;
    place.overflowed_stack = overflow.kind;
  }
  return place;
}

void on_fault(int signal, siginfo_t* info, void* pointer) {
  if (!tls::on_processor()) {
    // As if this handler were not there; the instruction is tried again.
    for (unsigned index = 0; index < std::size(kFaults); ++index)
      if (kFaults[index] == signal) ::sigaction(signal, &replaced[index], nullptr);
    return;
  }
  const auto& context = *static_cast<const ucontext_t*>(pointer);
  const Irql level = irql();
  set_irql(Irql::High);
  const faults::Fault fault = faults::fault_of(*info, context);
  const faults::Place place = place_of(here(), level, *info, fault);
  BugcheckReport report = faults::report_of(signal, *info, context, place);
  frames::fill_of_signal(report.frames, fault.instruction, fault.frame, fault.stack_pointer, arena::is_on_stack);
  if (shared().observed) tell(Bugchecked{report.code, report.parameters.p1, report.parameters.p2, report.parameters.p3, report.parameters.p4});
  run::finish({host::Ended::Bugcheck, {}, report});
  processors::end_here();
}

}  // namespace

void install() {
  faults::learn_code();
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigfillset(&action.sa_mask);
  for (unsigned index = 0; index < std::size(kFaults); ++index) ::sigaction(kFaults[index], &action, &replaced[index]);
}

void uninstall() {
  for (unsigned index = 0; index < std::size(kFaults); ++index) ::sigaction(kFaults[index], &replaced[index], nullptr);
}

void give_stack(Slot& slot) {
  void* low = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
  KDPC_INVARIANT("K.LIVE-20", low != MAP_FAILED);
  slot.alternate_stack = reinterpret_cast<std::uintptr_t>(low);
  const stack_t stack = stack_of(slot);
  ::sigaltstack(&stack, nullptr);
}

stack_t stack_of(const Slot& slot) {
  stack_t stack{};
  stack.ss_sp = reinterpret_cast<void*>(slot.alternate_stack);
  stack.ss_size = kStackSize;
  return stack;
}

void take_stack(Slot& slot) {
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  ::sigaltstack(&none, nullptr);
  ::munmap(reinterpret_cast<void*>(slot.alternate_stack), kStackSize);
}

}  // namespace kdpc::live::traps
