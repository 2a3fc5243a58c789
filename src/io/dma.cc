#include "io/dma.h"

#include "io/pnp.h"
#include "this_machine.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::dma {

void violation(StopParameters parameters, const char* sentence) { bug_check(stop::DriverVerifierDmaViolation, parameters, sentence, "CTX-4"); }

void check_level(Irql lowest, Irql highest) {
  const Irql level = current_irql();
  if ((level >= lowest && level <= highest) || sys().options.irql_checks == Options::IrqlChecks::Free) return;
  violation({0x13, lowest == highest ? 1u : 2u, as_parameter(highest), as_parameter(level)},
            "A DMA operation was called at an IRQL it does not allow.");
}

constexpr std::uint32_t kMemoryTag = pool_tag("DmaM");

// Whoever looks after pool looks after this memory as well.
void* take(DmaArena& arena, std::size_t size, std::uint64_t& physical) {
  auto* block = make<DmaBlock>();
  if (block == nullptr) return nullptr;
  block->size = ROUND_TO_PAGES(size);
  bool fits = false;
  {
    Guard guard;
    DmaBlock** slot = &arena.blocks;
    while (*slot != nullptr && (*slot)->offset < block->offset + block->size) {
      block->offset = (*slot)->offset + (*slot)->size;
      slot = &(*slot)->next;
    }
    fits = block->offset + block->size <= arena.memory.size;
    if (fits) {
      block->next = *slot;
      *slot = block;
    }
  }
  if (!fits) return discard(block), nullptr;
  physical = arena.memory.physical + block->offset;
  std::byte* const memory = arena.memory.host + block->offset;
  Machine::observe(PoolAllocated{memory, block->size, kMemoryTag, false});
  return memory;
}

bool give_back(DmaArena& arena, const void* memory) {
  const auto find = [&] {
    DmaBlock** slot = &arena.blocks;
    while (*slot != nullptr && arena.memory.host + (*slot)->offset != memory) slot = &(*slot)->next;
    return slot;
  };
  std::size_t size = 0;
  {
    Guard guard;
    if (const DmaBlock* const block = *find()) size = block->size;
  }
  if (size == 0) return false;
  Machine::observe(PoolFreed{memory, size, kMemoryTag});  // before somebody else can have it
  DmaBlock* found = nullptr;
  {
    Guard guard;
    DmaBlock** const slot = find();
    found = *slot;
    if (found != nullptr) *slot = found->next;
  }
  if (found != nullptr) discard(found);
  return found != nullptr;
}

namespace {

constexpr std::uint32_t kCommonTag = pool_tag("Comm");

VOID NTAPI put_adapter(PDMA_ADAPTER dma_adapter) {
  const Adapter& adapter = as_adapter(dma_adapter);
  const auto stop_with = [&](std::uint64_t what, std::uint64_t outstanding, const char* sentence) {
    if (outstanding != 0) violation({what, as_parameter(dma_adapter), outstanding, 0}, sentence);
  };
  stop_with(7, adapter.common_buffers, "A DMA adapter was given back before its common buffers.");
  stop_with(8, adapter.channel_taken ? 1 : 0, "A DMA adapter was given back before its channel.");
  stop_with(0xA, adapter.lists, "A DMA adapter was given back before its scatter/gather lists.");
  stop_with(9, adapter.registers_in_use, "A DMA adapter was given back before its map registers.");
  discard(dma_adapter, kAdapterTag);
}

PVOID NTAPI allocate_common_buffer(PDMA_ADAPTER dma_adapter, ULONG length, PPHYSICAL_ADDRESS logical, BOOLEAN) {
  check_level(Irql::Passive, Irql::Passive);
  Adapter& adapter = as_adapter(dma_adapter);
  std::uint64_t physical = 0;
  void* memory = nullptr;
  if (adapter.arena != nullptr) {
    memory = take(*adapter.arena, length, physical);
  } else {
    memory = sys().pool.allocate(ROUND_TO_PAGES(length), kCommonTag);
    physical = reinterpret_cast<std::uintptr_t>(memory);
  }
  if (memory == nullptr) return nullptr;
  __atomic_add_fetch(&adapter.common_buffers, 1, __ATOMIC_SEQ_CST);
  std::memset(memory, 0, length);
  logical->QuadPart = static_cast<LONGLONG>(physical);
  return memory;
}

VOID NTAPI free_common_buffer(PDMA_ADAPTER dma_adapter, ULONG, PHYSICAL_ADDRESS, PVOID memory, BOOLEAN) {
  check_level(Irql::Passive, Irql::Passive);
  Adapter& adapter = as_adapter(dma_adapter);
  if (adapter.common_buffers == 0) violation({3, 1, 0, 0}, "A DMA adapter was given more common buffers back than it has handed out.");
  __atomic_sub_fetch(&adapter.common_buffers, 1, __ATOMIC_SEQ_CST);
  if (adapter.arena == nullptr) {
    sys().pool.free(memory, kCommonTag);
    return;
  }
  if (!give_back(*adapter.arena, memory)) remark("kdpc: FreeCommonBuffer was given %p, which is no common buffer of this adapter", memory);
  RaiseTo<Irql::Dispatch> raised;
  serve_waiters();
}

ULONG NTAPI alignment(PDMA_ADAPTER) { return 1; }
ULONG NTAPI read_counter(PDMA_ADAPTER) { return 0; }  // of the system's DMA controller: a bus master counts for itself

}  // namespace

DmaArena* arena_of(const DmaMemory& memory) {
  if (memory.size == 0) return nullptr;
  auto* created = make<DmaArena>();
  if (created == nullptr) return nullptr;
  created->memory = memory;
  {
    Guard guard;
    DmaArena* arena = manager().arenas;
    while (arena != nullptr && arena->memory.host != memory.host) arena = arena->next;
    if (arena == nullptr) {
      created->next = manager().arenas;
      return manager().arenas = created;
    }
    std::swap(arena, created);
    discard(arena);
  }
  return created;
}

bool physical_address(const void* address, std::uint64_t& physical) {
  for (const DmaArena* arena = manager().arenas; arena != nullptr; arena = arena->next) {
    const auto* byte = static_cast<const std::byte*>(address);
    if (byte < arena->memory.host || byte >= arena->memory.host + arena->memory.size) continue;
    physical = arena->memory.physical + static_cast<std::uint64_t>(byte - arena->memory.host);
    return true;
  }
  return false;
}

}  // namespace kdpc::io::dma

using namespace kdpc;
using namespace kdpc::io;

namespace {

// An adapter and its table, in one block of the pool: a driver may look at both.
struct DmaTable {
  dma::Adapter adapter;
  DMA_OPERATIONS operations;
};

}  // namespace

extern "C" {

PDMA_ADAPTER NTAPI IoGetDmaAdapter(PDEVICE_OBJECT PhysicalDeviceObject, PDEVICE_DESCRIPTION DeviceDescription, PULONG NumberOfMapRegisters) {
  KDPC_ROUTINE(IoGetDmaAdapter);
  KDPC_MAY_FAIL(IoGetDmaAdapter, nullptr);
  if (DeviceDescription->Version > DEVICE_DESCRIPTION_VERSION2) return nullptr;  // version 3 has operations of its own
  if (!DeviceDescription->Master) return nullptr;                                // there is no DMA controller for others
  auto* created = make<DmaTable>(sizeof(DmaTable), dma::kAdapterTag, __builtin_return_address(0));
  if (created == nullptr) return nullptr;
  dma::Adapter& adapter = created->adapter;
  adapter.header.Version = 1;
  adapter.header.Size = sizeof(DMA_ADAPTER);
  adapter.header.DmaOperations = &created->operations;
  created->operations.Size = sizeof(DMA_OPERATIONS);
  created->operations.PutDmaAdapter = dma::put_adapter;
  created->operations.AllocateCommonBuffer = dma::allocate_common_buffer;
  created->operations.FreeCommonBuffer = dma::free_common_buffer;
  created->operations.GetDmaAlignment = dma::alignment;
  created->operations.ReadDmaCounter = dma::read_counter;
  dma::add_transfers(created->operations);
  const PhysicalDevice* physical = PhysicalDeviceObject != nullptr ? state_of(PhysicalDeviceObject).physical : nullptr;
  adapter.arena = physical != nullptr ? physical->arena : nullptr;
  // As many as the longest transfer can touch, but not more than there are.
  const ULONG wanted = BYTES_TO_PAGES(DeviceDescription->MaximumLength) + 1;
  adapter.limit = wanted < dma::kMapRegisters ? wanted : dma::kMapRegisters;
  if (NumberOfMapRegisters != nullptr) *NumberOfMapRegisters = adapter.limit;
  return &adapter.header;
}

}  // extern "C"
