// Is what lies at an address of a stack still somebody's? For listeners that judge (machine/host.h).
#include "kernel/system.h"
#include "machine/host.h"
#include "machine/sim/world.h"

namespace kdpc::host {

using namespace sim;

namespace {

// The lowest address in use by the function into which `caller` returns, or by this one if there is none.
KDPC_NO_ASAN std::uintptr_t lowest_of_caller(std::uintptr_t frame, std::uintptr_t caller) {
  const std::uintptr_t innermost = frame;
  while (caller != 0 && frame % alignof(std::uintptr_t) == 0 && world::is_on_stack(frame) && world::is_on_stack(frame + sizeof(std::uintptr_t))) {
    const auto* link = reinterpret_cast<const std::uintptr_t*>(frame);
    if (link[1] == caller) return frame + 2 * sizeof(std::uintptr_t);
    if (link[0] <= frame) break;
    frame = link[0];
  }
  return innermost;
}

// The stack pointer of one of a processor's stacks; 0: that one is not in use.
std::uintptr_t pointer_of(const Slot& slot, StackKind stack, std::uintptr_t here) {
  if (slot.stack != stack) return slot.saved_pointers[static_cast<unsigned>(stack)];
  return fixed().inside && &slot == &current() ? here : reinterpret_cast<std::uintptr_t>(slot.context);
}

}  // namespace

StackWord stack_word(std::uintptr_t address, std::uintptr_t caller) {
  if (!world::is_on_stack(address)) return StackWord::None;
  const std::uintptr_t here = lowest_of_caller(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), caller);
  const auto index = static_cast<unsigned>((address - world::kIsrStacks) / world::kStackPitch);
  std::uintptr_t lowest = 0;
  if (index < 2 * kMaxProcessors) {
    lowest = pointer_of(state().slots[index % kMaxProcessors], index < kMaxProcessors ? StackKind::Isr : StackKind::Dpc, here);
  } else {
    const Thread* owner = state().stacks[index - 2 * kMaxProcessors].owner;
    if (owner != nullptr) lowest = reinterpret_cast<std::uintptr_t>(owner->machine.resume);
    for (unsigned number = 0; number < state().processors; ++number)
      if (owner != nullptr && state().slots[number].thread == owner) lowest = pointer_of(state().slots[number], StackKind::Thread, here);
  }
  return lowest != 0 && address >= lowest ? StackWord::Live : StackWord::Dead;
}

}  // namespace kdpc::host
