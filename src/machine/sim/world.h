// The World: one arena at a fixed address that holds every mutable byte of a run.
//
//   kWorldBase   Fixed | State | ISR stacks | DPC stacks | thread stacks | memory for the kernel: System, the pool, paged pool | its view
//
// Paged pool can be taken away from drivers (pages.h); the view of it shows the pool the same bytes at every level.
//
// A debugger unwinds from low to high addresses, so a stack lies below those it can interrupt. Each stack has a page without access beneath.
//
//   K.WORLD-1  Addresses depend on nothing: the same run has the same addresses in every process.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "machine/sanitizer.h"
#include "machine/sim/state.h"

namespace kdpc::sim::world {

// The usable part of every kernel stack. NT has 24 KiB; our frames and the host's library calls are larger, those of a sanitizer much more so.
#ifdef KDPC_ASAN
inline constexpr std::size_t kStackSize = 128 * 1024;
#else
inline constexpr std::size_t kStackSize = 64 * 1024;
#endif
inline constexpr std::size_t kStackPitch = kStackSize + kPage;

inline constexpr std::uintptr_t kStateEnd = (kWorldBase + kPage + sizeof(State) + kPage - 1) / kPage * kPage;
inline constexpr std::uintptr_t kIsrStacks = kStateEnd;
inline constexpr std::uintptr_t kDpcStacks = kIsrStacks + kMaxProcessors * kStackPitch;
inline constexpr std::uintptr_t kThreadStacks = kDpcStacks + kMaxProcessors * kStackPitch;
inline constexpr std::uintptr_t kMemory = kThreadStacks + kMaxThreads * kStackPitch;

struct Bounds {
  std::uintptr_t low;  // the lowest usable byte; the page below it has no access
  std::uintptr_t high;
};
constexpr Bounds bounds_at(std::uintptr_t stacks, unsigned index) {
  const std::uintptr_t low = stacks + index * kStackPitch + kPage;
  return {low, low + kStackSize};
}
constexpr Bounds isr_stack(unsigned processor) { return bounds_at(kIsrStacks, processor); }
constexpr Bounds dpc_stack(unsigned processor) { return bounds_at(kDpcStacks, processor); }
constexpr Bounds thread_stack(unsigned index) { return bounds_at(kThreadStacks, index); }
unsigned thread_stacks_opened();  // so many can be read, in use or not

// Maps the arena, all zero, with ISR and DPC stacks for so many processors, `memory` bytes for the kernel and a quarter of that as paged pool.
Result<void> map(unsigned processors, std::size_t memory);
// Forgets everything; the first page stays, as unloaded drivers may still count edges.
void unmap();
bool is_mapped();
std::size_t memory_size();  // of the kernel's, without paged pool
// Drivers' paged pool, without access at first, and how far behind it its view lies.
struct PagedPool {
  std::byte* base;
  std::size_t size;
  std::ptrdiff_t view;
};
PagedPool paged_pool();

// The lowest free stack, ready for use; false: all are taken.
bool take_stack(Thread& thread);
void give_stack(Thread& thread);

// Any usable byte of any stack of this machine.
inline bool is_on_stack(std::uintptr_t address) {
  if (address < kIsrStacks || address >= kMemory) return false;
  return (address - kIsrStacks) % kStackPitch >= kPage;
}
// In the page below a stack, that is: a stack has overflowed. Says which kind, and of which processor or slot.
struct Overflow {
  bool happened;
  StackKind kind;
  unsigned index;
};
Overflow overflow_at(std::uintptr_t address);

}  // namespace kdpc::sim::world
