// Leaving one stack for another, as both machines do it: a call onto a DPC or ISR stack, and what a fiber takes with it.
#pragma once
#include <cxxabi.h>
#include <cstdint>

namespace kdpc {

// Calls function(argument) on the stack that ends at `stack_high`. The frame-pointer chain and the unwinder pass through. The stack pointer
// that was left is in *saved_pointer meanwhile.
void call_on_stack(std::uintptr_t stack_low, std::uintptr_t stack_high, void (*function)(void*), void* argument, std::uintptr_t* saved_pointer);

// The C++ runtime keeps the exceptions being handled per host thread; every fiber has its own, saved around every switch.
struct ExceptionState {
  void* caught;
  unsigned int uncaught;
};
inline ExceptionState& exception_state() { return *reinterpret_cast<ExceptionState*>(__cxxabiv1::__cxa_get_globals()); }

}  // namespace kdpc
