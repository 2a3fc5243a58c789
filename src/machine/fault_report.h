// A fault of code in the machine, as NT's bug check: what the signal says, and where the processor was, decide.
#pragma once
#include <signal.h>
#include <ucontext.h>

#include <cstdint>

#include "kernel/bugcheck.h"
#include "kernel/machine.h"

namespace kdpc::faults {

struct Fault {
  std::uintptr_t address, instruction, frame, stack_pointer;
  bool write, execute;
};
Fault fault_of(const siginfo_t& info, const ucontext_t& context);

// Where the processor was.
struct Place {
  unsigned processor;
  Irql level;
  StackKind stack;
  bool pageable;               // the address is that of pageable memory
  bool overflow;               // it is what a stack lacks, one …
  StackKind overflowed_stack;  // … of this kind
};
BugcheckReport report_of(int signal, const siginfo_t& info, const ucontext_t& context, const Place& place);

void learn_code();                            // before the first fault
bool is_kernel_code(std::uintptr_t address);  // this library's own: a fault there is NT's own, as far as the stop code is concerned

}  // namespace kdpc::faults
