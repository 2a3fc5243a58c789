#include "machine/fault_report.h"

#include <link.h>

#include "kernel/system.h"
#include "machine/exception_record.h"
#include "machine/mapped_registers.h"

namespace kdpc::faults {

namespace {

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

BugcheckReport report(const Place& place, std::uint32_t code, StopParameters parameters, const char* sentence, const char* rule) {
  const Thread* thread = processor(place.processor).current_thread;
  return {code, parameters, sentence, rule, static_cast<std::uint16_t>(place.processor), place.level, thread->id, {}};
}

BugcheckReport overflow_report(const Place& place, const Fault& fault) {
  const char* sentence = "A thread's kernel stack has overflowed.";
  if (place.overflowed_stack == StackKind::Dpc) sentence = "A processor's DPC stack has overflowed.";
  if (place.overflowed_stack == StackKind::Isr) sentence = "A processor's ISR stack has overflowed.";
  constexpr std::uint64_t kDoubleFault = 8;
  return report(place, stop::UnexpectedKernelModeTrap, {kDoubleFault, fault.address, fault.stack_pointer, fault.instruction}, sentence, "RET-11");
}

BugcheckReport page_fault_report(const Place& place, const Fault& fault) {
  const Irql level = place.level;
  const std::uint64_t operation = fault.execute ? 8 : fault.write ? 1 : 0;
  if (level < Irql::Dispatch)
    return report(place, stop::PageFaultInNonpagedArea, {fault.address, operation, fault.instruction, 0},
                  is_mapped_register(fault.address) ? kRegisterTouched : "An invalid memory reference.", "0x50");
  const bool pageable = place.pageable;
  if (is_kernel_code(fault.instruction))
    return report(place, stop::IrqlNotLessOrEqual, {fault.address, as_parameter(level), operation, fault.instruction},
                  pageable ? "A kernel routine was given pageable memory, and had to touch it at DISPATCH_LEVEL or above."
                           : "A kernel routine was given an address that is not valid, at DISPATCH_LEVEL or above.",
                  pageable ? "IRQL-2" : "0x0A");
  if (pageable)
    return report(
        place, stop::DriverIrqlNotLessOrEqual, {fault.address, as_parameter(level), operation, fault.instruction},
        fault.execute ? "Pageable code of a driver ran at DISPATCH_LEVEL or above." : "A driver touched pageable memory at DISPATCH_LEVEL or above.",
        "IRQL-2");
  return report(place, stop::DriverIrqlNotLessOrEqual, {fault.address, as_parameter(level), operation, fault.instruction},
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
bool in_service_routine(const Place& place) { return place.stack == StackKind::Isr && processor(place.processor).interrupt_nesting != 0; }

}  // namespace

void learn_code() { ::dl_iterate_phdr(find_code, reinterpret_cast<void*>(&learn_code)); }
bool is_kernel_code(std::uintptr_t address) { return address >= code_low && address < code_high; }

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

BugcheckReport report_of(int signal, const siginfo_t& info, const ucontext_t& context, const Place& place) {
  constexpr std::uint64_t kDivideError = 0, kInvalidOpcode = 6;
  const Fault fault = fault_of(info, context);
  if (place.overflow) return overflow_report(place, fault);
  if (const std::uint32_t exception = exception_of(signal, info); exception != 0 && in_service_routine(place)) {
    record_exception(exception, context);
    return report(place, stop::InterruptExceptionNotHandled,
                  {as_parameter(&last_exception().exception), as_parameter(&last_exception().context), 0, 0},
                  "An exception left an interrupt service routine.", "INT-19");
  }
  if (signal == SIGFPE)
    return report(place, stop::UnexpectedKernelModeTrap, {kDivideError, fault.instruction, 0, 0},
                  "An integer division by zero, or one whose result does not fit.", "0x7F");
  if (signal == SIGILL)
    return report(place, stop::UnexpectedKernelModeTrap, {kInvalidOpcode, fault.instruction, 0, 0}, "An invalid instruction.", "0x7F");
  // No page fault, so no address either: the processor refuses an address that is not canonical, or an operand that is not aligned as it must be.
  if (signal == SIGSEGV && info.si_code == SI_KERNEL)
    return report(place, stop::KmodeExceptionNotHandled, {exception_of(signal, info), fault.instruction, 0, ~std::uint64_t{0}},
                  "An address was used that no memory can have.", "0x1E");
  return page_fault_report(place, fault);
}

}  // namespace kdpc::faults
