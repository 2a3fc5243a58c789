#include "machine/stack_switch.h"

#include "machine/sanitizer.h"

// Keeps rbp as the frame pointer of its own frame on the old stack, so that both kinds of unwinding lead from the new stack to the old one.
asm(R"(
  .text
  .p2align 4
  .type kdpc_call_on_stack, @function
kdpc_call_on_stack:
  .cfi_startproc
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  movq %rsp, (%rcx)
  movq %rdi, %rsp
  movq %rdx, %rdi
  callq *%rsi
  leave
  .cfi_def_cfa %rsp, 8
  ret
  .cfi_endproc
  .size kdpc_call_on_stack, .-kdpc_call_on_stack
)");

extern "C" void kdpc_call_on_stack(std::uintptr_t stack_high, void (*function)(void*), void* argument, std::uintptr_t* saved_pointer);

namespace kdpc {

#ifdef KDPC_ASAN

namespace {

// Told on both ends of the way there and back.
struct Crossing {
  void (*function)(void*);
  void* argument;
  const void* from_low;
  std::size_t from_size;
};

void cross(void* pointer) {
  auto& crossing = *static_cast<Crossing*>(pointer);
  sanitizer::arrived(nullptr, &crossing.from_low, &crossing.from_size);
  crossing.function(crossing.argument);
  sanitizer::leaving(nullptr, crossing.from_low, crossing.from_size);
}

}  // namespace

void call_on_stack(std::uintptr_t stack_low, std::uintptr_t stack_high, void (*function)(void*), void* argument, std::uintptr_t* saved_pointer) {
  Crossing crossing{function, argument, nullptr, 0};
  void* fake = nullptr;
  sanitizer::leaving(&fake, reinterpret_cast<const void*>(stack_low), stack_high - stack_low);
  kdpc_call_on_stack(stack_high, cross, &crossing, saved_pointer);
  sanitizer::arrived(fake);
}

#else

void call_on_stack(std::uintptr_t, std::uintptr_t stack_high, void (*function)(void*), void* argument, std::uintptr_t* saved_pointer) {
  kdpc_call_on_stack(stack_high, function, argument, saved_pointer);
}

#endif

}  // namespace kdpc
