// NT threads as fibers of the host thread, and the arena their stacks lie in.
//
//   host --enter()--> thread … --leave()--> host        thread --switch_to()--> thread, directly
//
// Nothing is ever unwound: an abandoned fiber is forgotten.
#pragma once
#include <cstddef>

#include "base/result.h"
#include "machine/live/state.h"

namespace kdpc::live::fiber {

// Maps the arena, all zero: the processor's ISR and DPC stacks are ready, `memory` bytes are the kernel's.
Result<std::byte*> map(std::size_t memory);
// The first page stays, as unloaded drivers may still count edges.
void unmap();
bool is_mapped();

struct Bounds {
  std::uintptr_t low;
  std::uintptr_t high;
};
Bounds isr_stack();
Bounds dpc_stack();

// A stack whose first switch enters entry::thread_begins(thread); false: all are taken.
bool take_stack(Thread& thread);
void give_stack(Thread& thread);

// On the host: the processor goes on until it leaves.
Departure enter();
// On the processor: the host goes on. Returns when it enters again.
void leave(Departure why);
// … for good.
[[noreturn]] void abandon();
void switch_to(Thread& from, Thread& to);

}  // namespace kdpc::live::fiber
