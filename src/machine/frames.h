// The frames of running code, for reports: return addresses, innermost first; 0 ends. `frames` has kMaxFrames places.
#pragma once
#include <cstdint>

namespace kdpc::frames {

void fill(std::uintptr_t* frames);

using IsOnStack = bool(std::uintptr_t address);
// The same for code that a signal has stopped: by unwinding from the handler, or by frame pointers where that fails. Frames are return addresses, each behind the
// code it stands for: so is the instruction that faulted, which may be the first of its function.
void fill_of_signal(std::uintptr_t* frames, std::uintptr_t instruction, std::uintptr_t frame, std::uintptr_t stack_pointer, IsOnStack* is_on_stack);

// What the host puts between a handler and what it has interrupted: a call of rt_sigreturn, which is nobody's frame. Known by its address, as not every
// frame's code can be read: that of a driver may be pageable.
std::uintptr_t return_from_signal();

// By frame pointers; how many.
unsigned walk(std::uintptr_t frame, std::uintptr_t* frames, unsigned room, IsOnStack* is_on_stack);

}  // namespace kdpc::frames
