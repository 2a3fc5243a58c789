// The memory of a machine, at its fixed address: slots, rooms for facts, stacks, each above a page without access, then memory for the kernel.
#pragma once
#include <cstddef>

#include "base/result.h"
#include "machine/live/slot.h"

namespace kdpc::live::arena {

inline constexpr std::uint32_t kFacts = 1 << 14;  // of one processor, between two looks of the host
inline constexpr std::uint32_t kTexts = 1 << 16;  // bytes, of what they say

// Maps the arena, all zero; `memory` bytes are the kernel's.
Result<std::byte*> map(unsigned processors, std::size_t memory);
// The first page stays, as unloaded drivers may still count edges.
void unmap();
bool is_mapped();

struct Bounds {
  std::uintptr_t low;
  std::uintptr_t high;
};
Bounds isr_stack(unsigned processor);
Bounds dpc_stack(unsigned processor);

// The address lies in the page below a stack, and of which kind that is.
struct Overflow {
  bool happened;
  StackKind kind;
};
Overflow overflow_at(std::uintptr_t address);
bool is_on_stack(std::uintptr_t address);

// A thread's stack; low 0: all are taken.
Bounds take_stack();
void give_stack(std::uintptr_t low);

}  // namespace kdpc::live::arena
