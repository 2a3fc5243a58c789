#include "machine/frames.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include <csignal>

#include "kernel/bugcheck.h"
#include "machine/sanitizer.h"

namespace kdpc::frames {

namespace {

struct Collection {
  std::uintptr_t* frames;
  unsigned count;
  std::uintptr_t from;  // skip what lies above this instruction; 0: skip nothing
  std::uintptr_t nobody = return_from_signal();
};

_Unwind_Reason_Code collect(_Unwind_Context* context, void* argument) {
  auto& collection = *static_cast<Collection*>(argument);
  int is_interrupted = 0;  // and stands before the instruction, not behind a call
  const std::uintptr_t instruction = _Unwind_GetIPInfo(context, &is_interrupted);
  if (instruction == 0) return _URC_END_OF_STACK;
  if (collection.from != 0 && instruction == collection.from) collection.from = 0;
  if (collection.from == 0 && instruction != collection.nobody) collection.frames[collection.count++] = instruction + (is_interrupted != 0 ? 1 : 0);
  return collection.count == kMaxFrames - 1 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

bool is_code(std::uintptr_t address) {
  Dl_info info{};
  return ::dladdr(reinterpret_cast<void*>(address), &info) != 0;
}

}  // namespace

std::uintptr_t return_from_signal() {
  struct {
    void* handler;
    unsigned long flags;
    std::uintptr_t restorer;
    std::uint64_t mask;
  } action{};
  ::syscall(SYS_rt_sigaction, SIGSEGV, nullptr, &action, sizeof action.mask);
  return action.restorer;
}

void fill(std::uintptr_t* frames) {
  Collection collection{frames, 0, 0};
  _Unwind_Backtrace(collect, &collection);
  frames[collection.count] = 0;
}

void fill_of_signal(std::uintptr_t* frames, std::uintptr_t instruction, std::uintptr_t frame, std::uintptr_t stack_pointer, IsOnStack* is_on_stack) {
  if (is_code(instruction)) {
    Collection collection{frames, 0, instruction};
    _Unwind_Backtrace(collect, &collection);
    frames[collection.count] = 0;
    if (frames[0] == instruction) ++frames[0];
    if (collection.count > 1) return;
  }
  unsigned count = 0;
  if (instruction != 0) frames[count++] = instruction + 1;
  // A call to nowhere leaves only its return address.
  if (!is_code(instruction) && is_on_stack(stack_pointer)) frames[count++] = *reinterpret_cast<const std::uintptr_t*>(stack_pointer);
  count += walk(frame, frames + count, kMaxFrames - 1 - count, is_on_stack);
  frames[count] = 0;
}

KDPC_NO_ASAN unsigned walk(std::uintptr_t frame, std::uintptr_t* frames, unsigned room, IsOnStack* is_on_stack) {
  unsigned count = 0;
  while (count < room && frame % alignof(std::uintptr_t) == 0 && is_on_stack(frame) && is_on_stack(frame + sizeof(std::uintptr_t))) {
    const auto* link = reinterpret_cast<const std::uintptr_t*>(frame);
    if (link[1] == 0) break;
    frames[count++] = link[1];
    // Callers lie higher: on the same stack, or on one further out (the layout sees to that).
    if (link[0] <= frame) break;
    frame = link[0];
  }
  return count;
}

}  // namespace kdpc::frames
