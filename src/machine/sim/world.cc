#include "machine/sim/world.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/invariant.h"
#include "kernel/thread.h"
#include "machine/fixed_memory.h"
#include "machine/sim/fiber.h"

namespace kdpc::sim::world {

namespace {

bool mapped = false;
bool first_page_mapped = false;
std::size_t mapped_memory = 0;
std::size_t mapped_paged = 0;  // behind it, and again behind that
unsigned opened_stacks = 0;    // of threads; those below are readable and writable, whatever a restored State says

Result<void> reserve(std::uintptr_t at, std::size_t size, int protection) { return map_at(at, size, protection, "the World"); }

// The same memory at two places, without access at the first.
Result<void> map_twice(std::uintptr_t first, std::uintptr_t view, std::size_t size) {
  const int file = ::memfd_create("kdpc paged pool", MFD_CLOEXEC);
  if (file < 0 || ::ftruncate(file, static_cast<off_t>(size)) != 0) {
    const std::string why = std::strerror(errno);
    if (file >= 0) ::close(file);
    return Error{"memory for paged pool could not be had: " + why};
  }
  const void* one = ::mmap(reinterpret_cast<void*>(first), size, PROT_NONE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file, 0);
  const void* other = ::mmap(reinterpret_cast<void*>(view), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, file, 0);
  const std::string why = std::strerror(errno);
  ::close(file);
  if (one != MAP_FAILED && other != MAP_FAILED) return {};
  return Error{"paged pool could not be mapped at its fixed address: " + why};
}

void open_stack(Bounds stack) {
  const int refused = ::mprotect(reinterpret_cast<void*>(stack.low), kStackSize, PROT_READ | PROT_WRITE);
  KDPC_INVARIANT("K.WORLD-2", refused == 0);
  ::madvise(reinterpret_cast<void*>(stack.low), kStackSize, MADV_DODUMP);
}

}  // namespace

Result<void> map(unsigned processors, std::size_t memory) {
  memory = (memory + kPage - 1) / kPage * kPage;
  if (!first_page_mapped) {
    if (auto first = reserve(kWorldBase, kPage, PROT_READ | PROT_WRITE); !first) return first;
    first_page_mapped = true;
  }
  // Without access, and in no core file, to begin with: guards need nothing more, stacks are opened when they are first used.
  const std::size_t paged = memory / 4 / kPage * kPage;
  const std::size_t size = kMemory + memory + 2 * paged - kWorldBase - kPage;
  if (auto rest = reserve(kWorldBase + kPage, size, PROT_NONE); !rest) return rest;
  ::madvise(reinterpret_cast<void*>(kStateEnd), kMemory - kStateEnd, MADV_DONTDUMP);
  ::mprotect(reinterpret_cast<void*>(kWorldBase + kPage), kStateEnd - kWorldBase - kPage, PROT_READ | PROT_WRITE);
  ::mprotect(reinterpret_cast<void*>(kMemory), memory, PROT_READ | PROT_WRITE);
  if (auto twice = map_twice(kMemory + memory, kMemory + memory + paged, paged); !twice) {
    ::munmap(reinterpret_cast<void*>(kWorldBase + kPage), size);
    return twice;
  }
  mapped_paged = paged;
  for (unsigned number = 0; number < processors; ++number) {
    open_stack(isr_stack(number));
    open_stack(dpc_stack(number));
  }
  mapped = true;
  mapped_memory = memory;
  opened_stacks = 0;
  std::memset(&fixed(), 0, sizeof(Fixed));
  return {};
}

void unmap() {
  const std::size_t size = kMemory + mapped_memory + 2 * mapped_paged - kWorldBase - kPage;
  sanitizer::unpoison(reinterpret_cast<void*>(kIsrStacks), kThreadStacks + opened_stacks * kStackPitch - kIsrStacks);
  ::munmap(reinterpret_cast<void*>(kWorldBase + kPage), size);
  mapped = false;
  std::memset(&fixed(), 0, sizeof(Fixed));
  fixed().edge_budget = std::int64_t{1} << 62;
}

bool is_mapped() { return mapped; }
std::size_t memory_size() { return mapped_memory; }
PagedPool paged_pool() { return {reinterpret_cast<std::byte*>(kMemory + mapped_memory), mapped_paged, static_cast<std::ptrdiff_t>(mapped_paged)}; }

unsigned thread_stacks_opened() { return opened_stacks; }

bool take_stack(Thread& thread) {
  State& all = state();
  unsigned index = 0;
  while (index < all.stacks_used && all.stacks[index].owner != nullptr) ++index;
  if (index == kMaxThreads) return false;
  const Bounds stack = thread_stack(index);
  if (index == all.stacks_used) ++all.stacks_used;
  if (index == opened_stacks) {
    open_stack(stack);
    ++opened_stacks;
  }
  all.stacks[index].owner = &thread;
  sanitizer::unpoison(reinterpret_cast<void*>(stack.low), kStackSize);
  thread.machine.stack_low = stack.low;
  thread.machine.stack_high = stack.high;
  thread.machine.resume = fiber::make(stack.low, stack.high);
  thread.machine.extra = nullptr;
  return true;
}

void give_stack(Thread& thread) {
  const auto index = static_cast<unsigned>((thread.machine.stack_low - kThreadStacks) / kStackPitch);
  KDPC_INVARIANT("K.WORLD-3", index < state().stacks_used && state().stacks[index].owner == &thread);
  state().stacks[index].owner = nullptr;
  thread.machine = {};
}

Overflow overflow_at(std::uintptr_t address) {
  if (address < kIsrStacks || address >= kMemory || is_on_stack(address)) return {false, StackKind::Thread, 0};
  const auto index = static_cast<unsigned>((address - kIsrStacks) / kStackPitch);
  if (index < kMaxProcessors) return {true, StackKind::Isr, index};
  if (index < 2 * kMaxProcessors) return {true, StackKind::Dpc, index - kMaxProcessors};
  return {true, StackKind::Thread, index - 2 * kMaxProcessors};
}

}  // namespace kdpc::sim::world
