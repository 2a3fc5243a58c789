// DMA: common buffers, from the memory of the device's board, or from the pool if the board reaches all memory.
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

// Null: the board has none.
DmaArena* arena_of(const DmaMemory& memory);
bool physical_address(const void* address, std::uint64_t& physical);

}  // namespace dma
}  // namespace kdpc::io
