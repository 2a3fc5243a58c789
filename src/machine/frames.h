// The frames of running code, for reports: return addresses, innermost first; 0 ends. `frames` has kMaxFrames places.
#pragma once
#include <cstdint>

namespace kdpc::frames {

void fill(std::uintptr_t* frames);

using IsOnStack = bool(std::uintptr_t address);
// The same for code that a signal has stopped: by unwinding from the handler, or by frame pointers where that fails. Frames are return addresses, each behind the
// code it stands for: so is the instruction that faulted, which may be the first of its function.
void fill_of_signal(std::uintptr_t* frames, std::uintptr_t instruction, std::uintptr_t frame, std::uintptr_t stack_pointer, IsOnStack* is_on_stack);

// By frame pointers; how many.
unsigned walk(std::uintptr_t frame, std::uintptr_t* frames, unsigned room, IsOnStack* is_on_stack);

}  // namespace kdpc::frames
