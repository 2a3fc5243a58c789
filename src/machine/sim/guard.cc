#include "machine/sim/guard.h"

#include <fmt/format.h>
#include <link.h>
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
#include "machine/mapped_registers.h"
#include "machine/sanitizer.h"
#include "machine/sim/exception_record.h"
#include "machine/sim/explain.h"
#include "machine/sim/fiber.h"
#include "machine/sim/pages.h"
#include "machine/sim/run.h"
#include "machine/sim/sim_machine.h"
#include "machine/sim/world.h"

namespace kdpc::sim::guard {

namespace {

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

// Where this library's own code lies: a fault there is NT's own, as far as the stop code is concerned.
std::uintptr_t code_low = 0, code_high = 0;

int find_code(dl_phdr_info* info, std::size_t, void* inside) {
  const auto address = reinterpret_cast<std::uintptr_t>(inside);
  for (int index = 0; index < info->dlpi_phnum; ++index) {
    const auto& header = info->dlpi_phdr[index];
    const std::uintptr_t low = info->dlpi_addr + header.p_vaddr;
    if (header.p_type != PT_LOAD || address < low || address >= low + header.p_memsz) continue;
    code_low = low;
    code_high = low + header.p_memsz;
    return 1;
  }
  return 0;
}

struct Fault {
  std::uintptr_t address, instruction, frame, stack_pointer;
  bool write, execute;
};

Fault fault_of(const siginfo_t& info, const ucontext_t& context) {
  const auto& registers = context.uc_mcontext.gregs;
  const auto error = static_cast<std::uint64_t>(registers[REG_ERR]);
  return {reinterpret_cast<std::uintptr_t>(info.si_addr),
          static_cast<std::uintptr_t>(registers[REG_RIP]),
          static_cast<std::uintptr_t>(registers[REG_RBP]),
          static_cast<std::uintptr_t>(registers[REG_RSP]),
          (error & 2) != 0,
          (error & 16) != 0};
}

BugcheckReport report_of(std::uint32_t code, StopParameters parameters, const char* sentence, const char* rule) {
  const Slot& slot = current();
  return {code, parameters, sentence, rule, slot.number, slot.irql, slot.processor->current_thread->id, {}};
}

BugcheckReport overflow_report(world::Overflow overflow, const Fault& fault) {
  const char* sentence = "A thread's kernel stack has overflowed.";
  if (overflow.kind == StackKind::Dpc) sentence = "A processor's DPC stack has overflowed.";
  if (overflow.kind == StackKind::Isr) sentence = "A processor's ISR stack has overflowed.";
  constexpr std::uint64_t kDoubleFault = 8;
  return report_of(stop::UnexpectedKernelModeTrap, {kDoubleFault, fault.address, fault.stack_pointer, fault.instruction}, sentence, "RET-11");
}

bool is_kernel_code(std::uintptr_t address) { return address >= code_low && address < code_high; }

// Pageable memory that may be touched: it is brought in, and the instruction is tried again.
bool bring_in(int signal, const siginfo_t& info, const Fault& fault) {
  if (signal != SIGSEGV || info.si_code == SI_KERNEL || !world::is_mapped()) return false;
  const bool of_driver = fixed().inside && !fixed().in_host_code && current().irql >= Irql::Dispatch;
  // The thread's own permission: not of what has interrupted it.
  const bool allowed = of_driver && is_kernel_code(fault.instruction) && current().stack == StackKind::Thread &&
                       current().processor->current_thread->may_touch_pageable != 0;
  return (!of_driver || allowed) && pages::open(fault.address);
}

BugcheckReport page_fault_report(const Fault& fault) {
  const Irql level = current().irql;
  const std::uint64_t operation = fault.execute ? 8 : fault.write ? 1 : 0;
  if (level < Irql::Dispatch)
    return report_of(stop::PageFaultInNonpagedArea, {fault.address, operation, fault.instruction, 0},
                     is_mapped_register(fault.address) ? kRegisterTouched : "An invalid memory reference.", "0x50");
  const bool pageable = pages::contains(fault.address);
  if (is_kernel_code(fault.instruction))
    return report_of(stop::IrqlNotLessOrEqual, {fault.address, as_parameter(level), operation, fault.instruction},
                     pageable ? "A kernel routine was given pageable memory, and had to touch it at DISPATCH_LEVEL or above."
                              : "A kernel routine was given an address that is not valid, at DISPATCH_LEVEL or above.",
                     pageable ? "IRQL-2" : "0x0A");
  if (pageable)
    return report_of(
        stop::DriverIrqlNotLessOrEqual, {fault.address, as_parameter(level), operation, fault.instruction},
        fault.execute ? "Pageable code of a driver ran at DISPATCH_LEVEL or above." : "A driver touched pageable memory at DISPATCH_LEVEL or above.",
        "IRQL-2");
  return report_of(stop::DriverIrqlNotLessOrEqual, {fault.address, as_parameter(level), operation, fault.instruction},
                   is_mapped_register(fault.address) ? kRegisterTouched : "A driver touched memory that is not valid, at DISPATCH_LEVEL or above.",
                   "0xD1");
}

// What NT dispatches as an exception, not as a page fault or an overflow.
std::uint32_t exception_of(int signal, const siginfo_t& info) {
  constexpr std::uint32_t kAccessViolation = 0xC0000005, kIllegalInstruction = 0xC000001D, kDivideByZero = 0xC0000094, kOverflow = 0xC0000095;
  if (signal == SIGFPE) return info.si_code == FPE_INTOVF ? kOverflow : kDivideByZero;
  if (signal == SIGILL) return kIllegalInstruction;
  return info.si_code == SI_KERNEL ? kAccessViolation : 0;
}

// INT-19: nobody handles an exception that leaves a service routine.
bool in_service_routine() { return current().stack == StackKind::Isr && current().processor->interrupt_nesting != 0; }

BugcheckReport report_of_signal(int signal, const siginfo_t& info, const Fault& fault, const ucontext_t& context) {
  constexpr std::uint64_t kDivideError = 0, kInvalidOpcode = 6;
  if (const std::uint32_t exception = exception_of(signal, info); exception != 0 && in_service_routine()) {
    record_exception(exception, context);
    return report_of(stop::InterruptExceptionNotHandled, {as_parameter(&last_exception().exception), as_parameter(&last_exception().context), 0, 0},
                     "An exception left an interrupt service routine.", "INT-19");
  }
  if (signal == SIGFPE)
    return report_of(stop::UnexpectedKernelModeTrap, {kDivideError, fault.instruction, 0, 0},
                     "An integer division by zero, or one whose result does not fit.", "0x7F");
  if (signal == SIGILL)
    return report_of(stop::UnexpectedKernelModeTrap, {kInvalidOpcode, fault.instruction, 0, 0}, "An invalid instruction.", "0x7F");
  // No page fault, so no address either: the processor refuses an address that is not canonical, or an operand that is not aligned as it must be.
  if (signal == SIGSEGV && info.si_code == SI_KERNEL)
    return report_of(stop::KmodeExceptionNotHandled, {exception_of(signal, info), fault.instruction, 0, ~std::uint64_t{0}},
                     "An address was used that no memory can have.", "0x1E");
  if (info.si_code != SI_KERNEL)
    if (const world::Overflow overflow = world::overflow_at(fault.address); overflow.happened) return overflow_report(overflow, fault);
  return page_fault_report(fault);
}

// The signal mask was not changed (SA_NODEFER), and the signal stack is left like any other fiber's.
[[noreturn]] void end_run(host::Outcome outcome) {
  run::finish(std::move(outcome));
  fiber::abandon();
}

void on_fault(int signal, siginfo_t* info, void* context) {
  const Fault fault = fault_of(*info, *static_cast<const ucontext_t*>(context));
  if (bring_in(signal, *info, fault)) return;
  if (!world::is_mapped() || !fixed().inside || fixed().in_host_code) {
    // The host's own: as if this handler were not there; the instruction is tried again.
    for (unsigned index = 0; index < std::size(kFaults); ++index)
      if (kFaults[index] == signal) ::sigaction(signal, &replaced[index], nullptr);
    return;
  }
  BugcheckReport report = report_of_signal(signal, *info, fault, *static_cast<const ucontext_t*>(context));
  explain::fill_frames_of_signal(report.frames, fault.instruction, fault.frame, fault.stack_pointer);
  current().irql = Irql::High;
  const bool pageable = signal == SIGSEGV && info->si_code != SI_KERNEL && pages::contains(fault.address);
  Machine::observe(Bugchecked{report.code, report.parameters.p1, report.parameters.p2, report.parameters.p3, report.parameters.p4, pageable});
  end_run({host::Ended::Bugcheck, {}, report});
}

void on_timer(int, siginfo_t*, void* context) {
  if (!world::is_mapped() || !fixed().inside || fixed().in_host_code || patience == 0) return;
  const std::uint64_t switches = fixed().switches;
  if (switches != switches_seen) {
    switches_seen = switches;
    return;
  }
  const Fault where = fault_of({}, *static_cast<const ucontext_t*>(context));
  std::uintptr_t frames[kMaxFrames];
  explain::fill_frames_of_signal(frames, where.instruction, where.frame, where.stack_pointer);
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
  ::dl_iterate_phdr(find_code, reinterpret_cast<void*>(&install));
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
