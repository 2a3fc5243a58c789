// DMA: common buffers and transfers of packets. A board may have memory of its own, the only memory its devices reach; then common buffers lie
// there, and a packet elsewhere is copied through pages of it, its map registers. Devices of other boards reach all memory: their map registers
// only count.
#pragma once
#include "io/manager.h"
#include "kdpc/device.h"

namespace kdpc::io {

// A part of a board's memory that is in use.
struct DmaBlock {
  DmaBlock* next;      // R  in ascending order
  std::size_t offset;  // I
  std::size_t size;    // I
};

// The memory of one board; all its devices share it.
struct DmaArena {
  DmaArena* next;    // R
  DmaMemory memory;  // I
  DmaBlock* blocks;  // R
};

namespace dma {

inline constexpr std::uint32_t kAdapterTag = pool_tag("DmaA");
inline constexpr ULONG kMapRegisters = 256;  // of all adapters together, as long as their boards have no memory of their own

// What a driver got as MapRegisterBase: pages of its own, from allocating the channel or the list until freeing it.
struct MapRegisters {
  struct Adapter* adapter;  // I
  ULONG count;              // I
  std::byte* bounce;        // I  null: the device reaches everything
  std::uint64_t physical;   // I  of bounce
  const char* first;        // T  the address that stands at `offset` in bounce, from the first MapTransfer until FlushAdapterBuffers
  ULONG offset;             // T
  ULONG mapped;             // T  bytes
};

struct Adapter {
  DMA_ADAPTER header;                       // what the driver was given
  DmaArena* arena;                          // I  null: all memory
  ULONG limit;                              // I  map registers that may be asked for at once
  bool channel_taken;                       //    with Manager::dma_lock, like the next
  MapRegisters* kept;                       //    with KeepObject: FreeAdapterChannel frees them
  volatile std::uint32_t common_buffers;    // X  outstanding, like the next two
  volatile std::uint32_t registers_in_use;  // X
  volatile std::uint32_t lists;             // X
};
inline Adapter& as_adapter(PDMA_ADAPTER adapter) { return *reinterpret_cast<Adapter*>(adapter); }

// Null: the board has none.
DmaArena* arena_of(const DmaMemory& memory);
bool physical_address(const void* address, std::uint64_t& physical);
// Whole pages of the arena, the lowest that fit. Null: there are none.
void* take(DmaArena& arena, std::size_t size, std::uint64_t& physical);
bool give_back(DmaArena& arena, const void* memory);

// The operations are reached through the adapter's table, not as exports, so they check their level themselves; NT's Verifier does it with 0xE6.
void check_level(Irql lowest, Irql highest);
[[noreturn]] void violation(StopParameters parameters, const char* sentence);

// Map registers have become free: whoever waits for them gets them now (CTX-4). At Dispatch.
void serve_waiters();

// The operations on packets (dma_transfer.cc).
void add_transfers(DMA_OPERATIONS& operations);

}  // namespace dma
}  // namespace kdpc::io
