// Kernel pool: memory for drivers and for the kernel's own objects, inside the World, never the host's.
//
// Size classes with free lists above a bump pointer. Every block has a header with size, tag and state, and a guard behind the last byte;
// freeing checks both. Freed memory is filled so that a stale pointer is seen.
//
// Nonpaged and paged pool are two arenas. A machine may take paged pool away from whoever touches it at Dispatch or above (kernel/pageable.h); the
// pool itself works at High on a view of its own, so many bytes away from where drivers see the same memory.
#pragma once
#include <cstddef>
#include <cstdint>

#include "kernel/spinlock.h"

namespace kdpc {

enum class PoolType : std::uint8_t { NonPaged = 0, Paged = 1 };

struct PoolBlock {
  std::uint32_t magic;  // kAllocated or kFree
  std::uint32_t tag;
  std::uint64_t size;    // as asked for
  PoolBlock* next_free;  // P  while free
  std::uint32_t size_class;
  PoolType type;
  std::uint8_t unused[3];
  std::uintptr_t caller;   // who allocated, then who freed; kObject: only the kernel frees it
  std::uint64_t sequence;  // the how many-th allocation; free blocks are reused oldest first
};
static_assert(sizeof(PoolBlock) % 16 == 0);

struct PoolArena {
  std::byte* base;            // I  as drivers see it
  std::size_t size;           // I
  std::ptrdiff_t view;        // I  from there to the pool's own view of the same bytes
  std::size_t used;           // P  bytes from base that were ever handed out
  PoolBlock* free_first[48];  // P  by size class, in the pool's view
  PoolBlock* free_last[48];   // P

  bool contains(const void* address) const { return address >= base && address < base + size; }
};

class Pool {
 public:
  static constexpr std::uintptr_t kObject = 1;  // as caller
  void initialize(std::byte* base, std::size_t size);
  void initialize_paged(std::byte* base, std::size_t size, std::ptrdiff_t view);
  std::byte* base() const { return arenas_[0].base; }  // of nonpaged pool
  const SpinLock& lock() const { return lock_; }
  const PoolArena& arena(PoolType type) const { return arenas_[static_cast<unsigned>(type)]; }
  const std::byte* memory_of(const PoolBlock& block) const { return header_of(block) + sizeof(PoolBlock); }

  // At most Dispatch. 16-byte aligned; page aligned from a page up. Null: no memory.
  void* allocate(std::size_t size, std::uint32_t tag, PoolType type = PoolType::NonPaged, std::uintptr_t caller = 0);
  // Bug checks 0xC2 for a double free, a wrong tag (0: any), a block that is none, a trampled guard.
  void free(void* memory, std::uint32_t tag = 0, std::uintptr_t caller = 0);
  // The live block that contains `address`, or null.
  const PoolBlock* find(const void* address) const;
  // The live block that begins at `address`, or null.
  const PoolBlock* block_at(const void* address) const;
  bool contains(const void* address) const { return arena_of(address) != nullptr; }
  std::uint64_t live_blocks() const { return live_; }

  template <class Visit>
  void for_each_live(Visit&& visit) const {
    for (const PoolArena& arena : arenas_)
      for (std::byte* at = arena.base; at < arena.base + __atomic_load_n(&arena.used, __ATOMIC_ACQUIRE);) {
        const auto* block = reinterpret_cast<const PoolBlock*>(at + arena.view);
        if (block->magic == kAllocated) visit(*block, at + sizeof(PoolBlock));
        at += span_of(*block);
      }
  }

  static constexpr std::uint32_t kAllocated = 0x4c4f4f50;  // "POOL"
  static constexpr std::uint32_t kFree = 0x45455246;       // "FREE"

 private:
  static constexpr unsigned kClasses = 48;
  const std::byte* header_of(const PoolBlock& block) const;  // as drivers see it
  // A driver may have written over it: bug check 0x19, before anything of it is used.
  void check_header(const PoolBlock& block) const;
  std::size_t span_of(const PoolBlock& block) const;
  const PoolArena* arena_of(const void* address) const {
    for (const PoolArena& arena : arenas_)
      if (arena.contains(address)) return &arena;
    return nullptr;
  }
  PoolBlock* take(PoolArena& arena, unsigned index);
  SpinLock lock_;
  std::uint64_t sequence_;  // P
  std::uint64_t live_;      // P
  PoolArena arenas_[2];     //    by PoolType
};

constexpr std::uint32_t pool_tag(const char (&text)[5]) {
  return static_cast<std::uint32_t>(text[0]) | static_cast<std::uint32_t>(text[1]) << 8 | static_cast<std::uint32_t>(text[2]) << 16 |
         static_cast<std::uint32_t>(text[3]) << 24;
}

// A range is about to be freed or unmapped: queued DPCs, active timers, queued work items and held locks inside it are bug checks (PNP-3, WI-2,
// LCK-3). `block`: the range is this pool block, of which Driver Verifier has a word of its own (IRQL-7).
void audit_range(const void* start, std::size_t size, const PoolBlock* block = nullptr);
// Code is about to be unmapped: a queued DPC, or an active timer with a DPC, whose routine lies in it is a bug check, wherever the object is (PNP-3).
void audit_code(const void* start, std::size_t size);

}  // namespace kdpc
