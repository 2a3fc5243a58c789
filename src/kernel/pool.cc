#include "kernel/pool.h"

#include <bit>
#include <cstring>

#include "kernel/bugcheck.h"
#include "kernel/ex_timer.h"
#include "kernel/resource.h"
#include "kernel/scheduler.h"
#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kGuard = 16;
constexpr unsigned char kGuardByte = 0xF5;
constexpr unsigned char kFreshByte = 0xA5;  // what a driver reads that forgot to initialise
constexpr unsigned char kStaleByte = 0xDD;  // what a driver reads through a stale pointer
constexpr std::uint32_t kFiller = ~0u;      // size class of a gap before a page-aligned block

// 32, 48, 64, 96, 128, … : two classes to each power of two, so that no more than a third is wasted.
constexpr std::size_t class_size(unsigned index) { return (index & 1) != 0 ? std::size_t{48} << (index / 2) : std::size_t{32} << (index / 2); }

unsigned class_for(std::size_t size) {
  unsigned index = 0;
  while (class_size(index) < size) ++index;
  return index;
}

unsigned char* bytes_of(PoolBlock& block) { return reinterpret_cast<unsigned char*>(&block + 1); }

}  // namespace

void Pool::initialize(std::byte* base, std::size_t size) {
  lock_.initialize();
  sequence_ = 0;
  live_ = 0;
  arenas_[0] = {base, size, 0, 0, {}, {}};
  arenas_[1] = {};
}

void Pool::initialize_paged(std::byte* base, std::size_t size, std::ptrdiff_t view) { arenas_[1] = {base, size, view, 0, {}, {}}; }

const std::byte* Pool::header_of(const PoolBlock& block) const {
  const auto* const bytes = reinterpret_cast<const std::byte*>(&block);
  for (const PoolArena& arena : arenas_)
    if (arena.contains(bytes - arena.view)) return bytes - arena.view;
  return bytes;
}

void Pool::check_header(const PoolBlock& block) const {
  const bool has_magic = block.magic == kAllocated || block.magic == kFree;
  const bool has_class = block.size_class < kClasses ? block.magic == kFree || block.size <= class_size(block.size_class) - kGuard
                                                     : block.size_class == kFiller && block.magic == kFree;
  if (!has_magic || !has_class || static_cast<unsigned>(block.type) >= std::size(arenas_))
    bug_check(stop::BadPoolHeader, {0x20, as_parameter(header_of(block)), 0, 0}, "Something has overwritten the header of a pool block.", "IRQL-7");
}

std::size_t Pool::span_of(const PoolBlock& block) const {
  check_header(block);
  return sizeof(PoolBlock) + (block.size_class == kFiller ? block.size : class_size(block.size_class));
}

// With the lock. A free block, or the next of those that were never handed out; null: no memory.
PoolBlock* Pool::take(PoolArena& arena, unsigned index) {
  if (PoolBlock* block = arena.free_first[index]; block != nullptr) {
    arena.free_first[index] = block->next_free;
    if (arena.free_first[index] == nullptr) arena.free_last[index] = nullptr;
    return block;
  }
  std::size_t gap = 0;
  if (class_size(index) > kPage) {  // all blocks of such a class, as a smaller one may come back as one of a page or more
    gap = (kPage - (reinterpret_cast<std::uintptr_t>(arena.base) + arena.used + sizeof(PoolBlock)) % kPage) % kPage;
    if (gap != 0 && gap < sizeof(PoolBlock)) gap += kPage;
  }
  if (arena.used + gap + sizeof(PoolBlock) + class_size(index) > arena.size) return nullptr;
  std::byte* const view = arena.base + arena.view;
  if (gap != 0) {
    auto* filler = reinterpret_cast<PoolBlock*>(view + arena.used);
    *filler = PoolBlock{kFree, 0, gap - sizeof(PoolBlock), nullptr, kFiller, PoolType::NonPaged, {}, 0, 0};
    __atomic_store_n(&arena.used, arena.used + gap, __ATOMIC_RELEASE);
  }
  // Whoever walks the arena without the lock sees a header as soon as he sees the block.
  auto* block = reinterpret_cast<PoolBlock*>(view + arena.used);
  *block = PoolBlock{kFree, 0, 0, nullptr, index, PoolType::NonPaged, {}, 0, 0};
  __atomic_store_n(&arena.used, arena.used + sizeof(PoolBlock) + class_size(index), __ATOMIC_RELEASE);
  return block;
}

void* Pool::allocate(std::size_t size, std::uint32_t tag, PoolType type, std::uintptr_t caller) {
  PoolArena& arena = arenas_[static_cast<unsigned>(type)];
  if (size > arena.size / 2) return nullptr;
  const unsigned index = class_for(size + kGuard);
  if (index >= kClasses) return nullptr;
  PoolBlock* block;
  {
    Locked<Irql::High> locked(lock_, LockKind::System);
    block = take(arena, index);
    if (block == nullptr) return nullptr;
    *block = PoolBlock{kFree, tag, size, nullptr, index, type, {}, caller, ++sequence_};
    __atomic_store_n(&block->magic, kAllocated, __ATOMIC_RELEASE);
    ++live_;
  }
  std::memset(bytes_of(*block), kFreshByte, size);
  std::memset(bytes_of(*block) + size, kGuardByte, kGuard);
  void* const memory = bytes_of(*block) - arena.view;
  Machine::observe(PoolAllocated{memory, size, tag, type == PoolType::Paged});
  return memory;
}

void Pool::free(void* memory, std::uint32_t tag, std::uintptr_t caller) {
  const PoolArena* known = arena_of(memory);
  if (known == nullptr || reinterpret_cast<std::uintptr_t>(memory) % 16 != 0)
    bug_check(stop::BadPoolCaller, {0x46, as_parameter(memory), 0, 0}, "Memory was freed that the pool never handed out.", "IRQL-7");
  PoolArena& arena = arenas_[known - arenas_];
  auto* block = reinterpret_cast<PoolBlock*>(static_cast<std::byte*>(memory) + arena.view) - 1;
  if (block->magic != kAllocated && block->magic != kFree)
    bug_check(stop::BadPoolCaller, {0x46, as_parameter(memory), 0, 0}, "Memory was freed that the pool never handed out.", "IRQL-7");
  check_header(*block);
  const std::byte* const header = static_cast<std::byte*>(memory) - sizeof(PoolBlock);
  if (block->magic == kFree)
    bug_check(stop::BadPoolCaller, {7, 0, as_parameter(header), as_parameter(memory)}, "A pool block was freed twice.", "IRQL-7");
  if (tag != 0 && tag != block->tag)
    bug_check(stop::BadPoolCaller, {0xA, as_parameter(memory), block->tag, tag},
              "A pool block was freed with another tag than it was allocated with.", "IRQL-7");
  const unsigned char* guard = bytes_of(*block) + block->size;
  for (std::size_t index = 0; index < kGuard; ++index)
    if (guard[index] != kGuardByte)
      bug_check(stop::BadPoolHeader, {0x20, as_parameter(memory), as_parameter(guard + index - arena.view), block->size},
                "Something wrote past the end of a pool block.", "IRQL-7");
  std::uint32_t live = kAllocated;
  if (!__atomic_compare_exchange_n(&block->magic, &live, kFree, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    bug_check(stop::BadPoolCaller, {7, 0, as_parameter(header), as_parameter(memory)}, "A pool block was freed by two processors at once.", "IRQL-7");
  Machine::observe(PoolFreed{memory, block->size, block->tag});
  std::memset(bytes_of(*block), kStaleByte, block->size);
  Locked<Irql::High> locked(lock_, LockKind::System);
  block->caller = caller;
  block->next_free = nullptr;
  if (arena.free_last[block->size_class] != nullptr) {
    arena.free_last[block->size_class]->next_free = block;
  } else {
    arena.free_first[block->size_class] = block;
  }
  arena.free_last[block->size_class] = block;
  --live_;
}

const PoolBlock* Pool::find(const void* address) const {
  const PoolBlock* found = nullptr;
  for_each_live([&](const PoolBlock& block, const std::byte* payload) {
    if (address >= payload && address < payload + block.size) found = &block;
  });
  return found;
}

const PoolBlock* Pool::block_at(const void* address) const {
  const PoolArena* arena = arena_of(address);
  if (arena == nullptr || static_cast<std::size_t>(static_cast<const std::byte*>(address) - arena->base) < sizeof(PoolBlock)) return nullptr;
  const PoolBlock* block = reinterpret_cast<const PoolBlock*>(static_cast<const std::byte*>(address) + arena->view) - 1;
  if (block->magic != kAllocated) return nullptr;
  check_header(*block);
  return block;
}

namespace {

struct Range {
  const std::byte* low;
  const std::byte* high;
  bool has(std::uintptr_t address) const { return address >= Address(low).value && address < Address(high).value; }
};

void audit_timer(const Range& range, const PoolBlock* block, const Timer* timer) {
  if (range.has(Address(timer).value)) {
    constexpr const char* kSentence = "Memory that holds an active timer is being freed.";
    if (block != nullptr && sys().options.irql_checks == Options::IrqlChecks::Strict)
      bug_check(stop::DriverVerifierDetectedViolation, {0x15, as_parameter(timer), static_cast<std::uint64_t>(block->type), as_parameter(range.low)},
                kSentence, "IRQL-7");
    bug_check(stop::TimerOrDpcInvalid, {0, as_parameter(timer), as_parameter(range.low), as_parameter(range.high)}, kSentence, "PNP-3");
  }
  if (range.has(Address(timer->dpc).value))
    bug_check(stop::TimerOrDpcInvalid, {1, as_parameter(timer->dpc), as_parameter(range.low), as_parameter(range.high)},
              "Memory that holds the KDPC of an active timer is being freed.", "PNP-3");
}

void audit_dpc(const Range& range, const Dpc* dpc) {
  if (range.has(Address(dpc).value))
    bug_check(stop::TimerOrDpcInvalid, {1, as_parameter(dpc), as_parameter(range.low), as_parameter(range.high)},
              "Memory that holds a queued KDPC is being freed.", "PNP-3");
}

void audit_routine(const Range& range, const Dpc* dpc) {
  const std::uintptr_t routine = dpc == nullptr ? 0 : ex_timer::routine_of(*dpc);
  if (range.has(routine))
    bug_check(stop::TimerOrDpcInvalid, {2, routine, as_parameter(range.low), as_parameter(range.high)},
              "Code is being unmapped that a queued DPC, or the DPC of an active timer, will call.", "PNP-3");
}

// With the dispatcher lock. A free build's list is torn; ours forgets the resource.
void audit_resources(const Range& range) {
  while (const Resource* resource = resource::unlist_locked(Address(range.low).value, Address(range.high).value))
    if (sys().options.irql_checks == Options::IrqlChecks::Strict)
      bug_check(stop::DriverVerifierDetectedViolation,
                {0xD2, as_parameter(resource), as_parameter(range.low), static_cast<std::uint64_t>(range.high - range.low)},
                "Memory that holds a resource is being freed, and ExDeleteResourceLite was not called.", "IRQL-7");
}

// With the dispatcher lock.
template <class OnTimer, class OnDpc>
void for_each_active(OnTimer&& on_timer, OnDpc&& on_dpc) {
  for (unsigned number = 0; number < sys().processor_count; ++number) {
    Processor& where = processor(number);
    where.timers.for_each([&](const Timer& timer) { on_timer(&timer); });
    for (DpcQueue* queue : {&where.dpcs, &where.threaded_dpcs}) {
      if (!queue->has_any()) continue;
      RaiseTo<Irql::High> raised;
      queue->for_each([&](const Dpc& dpc) { on_dpc(&dpc); });
    }
  }
}

}  // namespace

void audit_range(const void* start, std::size_t size, const PoolBlock* block) {
  const Range range{static_cast<const std::byte*>(start), static_cast<const std::byte*>(start) + size};
  held_locks::audit_range(range.low, range.high);
  const Irql previous = scheduler::acquire_dispatcher_lock();
  for_each_active([&](const Timer* timer) { audit_timer(range, block, timer); }, [&](const Dpc* dpc) { audit_dpc(range, dpc); });
  audit_resources(range);
  for (WorkerPool& pool : sys().workers) {
    pool.lock.acquire_here(LockKind::System);
    for (Link* link = pool.items.first(); link != nullptr; link = pool.items.after(link))
      if (range.has(Address(link).value))
        bug_check(stop::WorkerInvalid, {0, as_parameter(link), as_parameter(range.low), as_parameter(range.high)},
                  "Memory that holds a queued work item is being freed.", "WI-2");
    pool.lock.release_here(LockKind::System);
  }
  scheduler::release_dispatcher_lock(previous);
}

void audit_code(const void* start, std::size_t size) {
  const Range range{static_cast<const std::byte*>(start), static_cast<const std::byte*>(start) + size};
  const Irql previous = scheduler::acquire_dispatcher_lock();
  for_each_active([&](const Timer* timer) { audit_routine(range, timer->dpc); }, [&](const Dpc* dpc) { audit_routine(range, dpc); });
  scheduler::release_dispatcher_lock(previous);
}

}  // namespace kdpc
