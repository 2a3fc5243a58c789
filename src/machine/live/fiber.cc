#include "machine/live/fiber.h"

#include <sys/mman.h>

#include <boost/context/detail/fcontext.hpp>
#include <cerrno>
#include <cstring>

#include "base/invariant.h"
#include "kernel/entry.h"
#include "kernel/system.h"
#include "machine/sanitizer.h"
#include "machine/stack_switch.h"

namespace kdpc::live::fiber {

namespace {

using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

constexpr std::size_t kPage = 4096;
// NT has 24 KiB; our frames and the host's library calls are larger, those of a sanitizer much more so.
#ifdef KDPC_ASAN
constexpr std::size_t kStackSize = 128 * 1024;
#else
constexpr std::size_t kStackSize = 64 * 1024;
#endif
constexpr std::size_t kStackPitch = kStackSize + kPage;
constexpr unsigned kStacks = 4096;
constexpr unsigned kIsrStack = 0, kDpcStack = 1, kFirstThreadStack = 2;
constexpr std::uintptr_t kArena = kWorldBase + kPage;
constexpr std::uintptr_t kMemory = kArena + kStacks * kStackPitch;

bool first_page_mapped = false;
std::size_t mapped = 0;          // bytes from kArena on; 0: no machine
unsigned opened = 0;             // stacks that are readable and writable
std::uintptr_t free_stacks = 0;  // each holds the next one's address in its lowest word

// The host's own stack, as the sanitizer saw it when the host was last left.
const void* host_low = nullptr;
std::size_t host_size = 0;

Result<void> reserve(std::uintptr_t at, std::size_t size, int protection) {
  void* wanted = reinterpret_cast<void*>(at);
  void* got = ::mmap(wanted, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (got == wanted) return {};
  const std::string why = got == MAP_FAILED ? std::strerror(errno) : "the kernel chose another place";
  if (got != MAP_FAILED) ::munmap(got, size);
  return Error{"the machine's memory could not be mapped at its fixed address: " + why +
               "; another mapping is in its way, or the address space of this process is limited (ulimit -v)"};
}

Bounds stack_at(unsigned index) {
  const std::uintptr_t low = kArena + index * kStackPitch + kPage;
  return {low, low + kStackSize};
}

void open(unsigned index) {
  const int refused = ::mprotect(reinterpret_cast<void*>(stack_at(index).low), kStackSize, PROT_READ | PROT_WRITE);
  KDPC_INVARIANT("K.LIVE-1", refused == 0);
}

// Whoever goes on keeps the context of whom it was left by.
void arrived_from(transfer_t from) { *state().left = from.fctx; }

void begin(transfer_t from) {
  const bool from_host = state().left == &state().host_context;
  sanitizer::arrived(nullptr, from_host ? &host_low : nullptr, from_host ? &host_size : nullptr);
  arrived_from(from);
  exception_state() = {};
  entry::thread_begins(*state().processor->current_thread);
}

// The running code stops here, as `left`, until somebody jumps to it.
void jump(void** left, void* to, const void* to_low, std::size_t to_size) {
  const ExceptionState mine = exception_state();
  state().left = left;
  void* fake = nullptr;
  sanitizer::leaving(&fake, to_low, to_size);
  const transfer_t back = jump_fcontext(to, nullptr);
  const bool from_host = state().left == &state().host_context;
  sanitizer::arrived(fake, from_host ? &host_low : nullptr, from_host ? &host_size : nullptr);
  arrived_from(back);
  exception_state() = mine;
}

}  // namespace

Result<std::byte*> map(std::size_t memory) {
  if (!first_page_mapped) {
    if (auto first = reserve(kWorldBase, kPage, PROT_READ | PROT_WRITE); !first) return first.error();
    first_page_mapped = true;
  }
  const std::size_t size = kMemory - kArena + (memory + kPage - 1) / kPage * kPage;
  // Without access to begin with: guards need nothing more, stacks are opened when they are first used.
  if (auto rest = reserve(kArena, size, PROT_NONE); !rest) return rest.error();
  ::mprotect(reinterpret_cast<void*>(kMemory), kArena + size - kMemory, PROT_READ | PROT_WRITE);
  open(kIsrStack);
  open(kDpcStack);
  mapped = size;
  opened = kFirstThreadStack;
  free_stacks = 0;
  std::memset(&state(), 0, sizeof(State));
  return reinterpret_cast<std::byte*>(kMemory);
}

void unmap() {
  sanitizer::unpoison(reinterpret_cast<void*>(kArena), opened * kStackPitch);
  ::munmap(reinterpret_cast<void*>(kArena), mapped);
  mapped = 0;
  std::memset(&state(), 0, sizeof(State));
  state().edge_budget = std::int64_t{1} << 62;
}

bool is_mapped() { return mapped != 0; }
Bounds isr_stack() { return stack_at(kIsrStack); }
Bounds dpc_stack() { return stack_at(kDpcStack); }

bool take_stack(Thread& thread) {
  Bounds stack{free_stacks, free_stacks + kStackSize};
  if (free_stacks != 0) {
    sanitizer::unpoison(reinterpret_cast<void*>(stack.low), kStackSize);  // what abandoned frames have left
    free_stacks = *reinterpret_cast<const std::uintptr_t*>(stack.low);
  } else {
    if (opened == kStacks) return false;
    stack = stack_at(opened);
    open(opened++);
  }
  thread.machine.stack_low = stack.low;
  thread.machine.stack_high = stack.high;
  thread.machine.resume = make_fcontext(reinterpret_cast<void*>(stack.high), kStackSize, begin);
  return true;
}

void give_stack(Thread& thread) {
  sanitizer::unpoison(reinterpret_cast<void*>(thread.machine.stack_low), kStackSize);
  *reinterpret_cast<std::uintptr_t*>(thread.machine.stack_low) = free_stacks;
  free_stacks = thread.machine.stack_low;
  thread.machine = {};
}

Departure enter() {
  State& all = state();
  all.inside = true;
  jump(&all.host_context, all.processor_context, reinterpret_cast<const void*>(all.stack_low), all.stack_high - all.stack_low);
  all.inside = false;
  return all.departure;
}

void leave(Departure why) {
  State& all = state();
  all.departure = why;
  jump(&all.processor_context, all.host_context, host_low, host_size);
}

void abandon() {
  leave(Departure::Stop);
  KDPC_INVARIANT("K.LIVE-2", !"an abandoned fiber was entered again");
  __builtin_unreachable();
}

void switch_to(Thread& from, Thread& to) {
  State& all = state();
  all.stack_low = to.machine.stack_low;
  all.stack_high = to.machine.stack_high;
  jump(&from.machine.resume, to.machine.resume, reinterpret_cast<const void*>(all.stack_low), all.stack_high - all.stack_low);
}

}  // namespace kdpc::live::fiber
