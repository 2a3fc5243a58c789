#include "machine/live/arena.h"

#include <sys/mman.h>

#include <cstring>

#include "base/invariant.h"
#include "machine/fixed_memory.h"
#include "machine/live/facts.h"
#include "machine/live/lock.h"
#include "machine/sanitizer.h"

namespace kdpc::live::arena {

namespace {

// NT has 24 KiB; our frames and the host's library calls are larger, and each signal's frame is four to twelve more: a few may lie on top of each other.
constexpr std::size_t kStackSize = 128 * 1024;
constexpr std::size_t kStackPitch = kStackSize + kPage;
constexpr unsigned kStacks = 4096;
constexpr std::size_t kRoom = (sizeof(Fact) * kFacts + kTexts + kPage - 1) / kPage * kPage;
constexpr std::uintptr_t kArena = kSlots;
constexpr std::uintptr_t kRooms = kArena + kSlotsSize;
constexpr std::uintptr_t kStacksBegin = kRooms + kRoom * kMaxProcessors;
constexpr std::uintptr_t kMemory = kStacksBegin + kStacks * kStackPitch;

bool first_page_mapped = false;
std::size_t mapped = 0;  // bytes from kArena on; 0: no machine

Lock lock;
unsigned opened = 0;             // stacks that are readable and writable
std::uintptr_t free_stacks = 0;  // each holds the next one's address in its lowest word

Result<void> reserve(std::uintptr_t at, std::size_t size, int protection) { return map_at(at, size, protection, "the machine's memory"); }

void allow(std::uintptr_t at, std::size_t size) {
  const int refused = ::mprotect(reinterpret_cast<void*>(at), size, PROT_READ | PROT_WRITE);
  KDPC_INVARIANT("K.LIVE-12", refused == 0);
}

Bounds stack_at(unsigned index) {
  const std::uintptr_t low = kStacksBegin + index * kStackPitch + kPage;
  return {low, low + kStackSize};
}

}  // namespace

Result<std::byte*> map(unsigned processors, std::size_t memory) {
  if (!first_page_mapped) {
    if (auto first = reserve(kWorldBase, kPage, PROT_READ | PROT_WRITE); !first) return first.error();
    first_page_mapped = true;
  }
  const std::size_t size = kMemory - kArena + (memory + kPage - 1) / kPage * kPage;
  // Without access to begin with: guards need nothing more, stacks are opened when they are first used.
  if (auto rest = reserve(kArena, size, PROT_NONE); !rest) return rest.error();
  allow(kArena, kSlotsSize + kRoom * processors);
  allow(kMemory, kArena + size - kMemory);
  opened = 0;
  free_stacks = 0;
  for (; opened < 2 * processors; ++opened) allow(stack_at(opened).low, kStackSize);
  mapped = size;
  std::memset(static_cast<void*>(&shared()), 0, sizeof(Shared));
  for (unsigned number = 0; number < processors; ++number) {
    slot_of(number).facts = reinterpret_cast<Fact*>(kRooms + kRoom * number);
    slot_of(number).texts = reinterpret_cast<char*>(slot_of(number).facts + kFacts);
  }
  return reinterpret_cast<std::byte*>(kMemory);
}

void unmap() {
  sanitizer::unpoison(reinterpret_cast<void*>(kStacksBegin), opened * kStackPitch);
  ::munmap(reinterpret_cast<void*>(kArena), mapped);
  mapped = 0;
  std::memset(static_cast<void*>(&shared()), 0, sizeof(Shared));
  shared().edge_budget = std::int64_t{1} << 62;
}

bool is_mapped() { return mapped != 0; }
Bounds isr_stack(unsigned processor) { return stack_at(2 * processor); }
Bounds dpc_stack(unsigned processor) { return stack_at(2 * processor + 1); }

Overflow overflow_at(std::uintptr_t address) {
  if (address < kStacksBegin || address >= kMemory || is_on_stack(address)) return {false, StackKind::Thread};
  const std::uintptr_t index = (address - kStacksBegin) / kStackPitch;
  if (index >= 2 * shared().processors) return {true, StackKind::Thread};
  return {true, index % 2 == 0 ? StackKind::Isr : StackKind::Dpc};
}

bool is_on_stack(std::uintptr_t address) {
  return address >= kStacksBegin && address < kMemory && (address - kStacksBegin) % kStackPitch >= kPage &&
         (address - kStacksBegin) / kStackPitch < opened;
}

Bounds take_stack() {
  const Locked locked(lock);
  Bounds stack{free_stacks, free_stacks + kStackSize};
  if (free_stacks != 0) {
    sanitizer::unpoison(reinterpret_cast<void*>(stack.low), kStackSize);  // what abandoned frames have left
    free_stacks = *reinterpret_cast<const std::uintptr_t*>(stack.low);
    return stack;
  }
  if (opened == kStacks) return {0, 0};
  stack = stack_at(opened++);
  allow(stack.low, kStackSize);
  return stack;
}

void give_stack(std::uintptr_t low) {
  const Locked locked(lock);
  sanitizer::unpoison(reinterpret_cast<void*>(low), kStackSize);
  *reinterpret_cast<std::uintptr_t*>(low) = free_stacks;
  free_stacks = low;
}

}  // namespace kdpc::live::arena
