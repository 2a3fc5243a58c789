#include "io/dma.h"

#include "io/pnp.h"
#include "wdk/routine.h"

namespace kdpc::io::dma {

namespace {

constexpr std::size_t kPage = 4096;
constexpr std::uint32_t kCommonTag = pool_tag("Comm");
constexpr ULONG kMapRegisters = 256;  // as many as anybody asks for: nothing is ever mapped

// Whole pages, lowest first that fit.
void* take(DmaArena& arena, std::size_t size, std::uint64_t& physical) {
  auto* block = make<DmaBlock>();
  if (block == nullptr) return nullptr;
  block->size = (size + kPage - 1) & ~(kPage - 1);
  {
    Guard guard;
    DmaBlock** slot = &arena.blocks;
    while (*slot != nullptr && (*slot)->offset < block->offset + block->size) {
      block->offset = (*slot)->offset + (*slot)->size;
      slot = &(*slot)->next;
    }
    if (block->offset + block->size <= arena.memory.size) {
      block->next = *slot;
      *slot = block;
      physical = arena.memory.physical + block->offset;
      return arena.memory.host + block->offset;
    }
  }
  discard(block);
  return nullptr;
}

bool give_back(DmaArena& arena, const void* memory) {
  DmaBlock* found = nullptr;
  {
    Guard guard;
    for (DmaBlock** slot = &arena.blocks; *slot != nullptr; slot = &(*slot)->next) {
      if (arena.memory.host + (*slot)->offset != memory) continue;
      found = *slot;
      *slot = found->next;
      break;
    }
  }
  if (found != nullptr) discard(found);
  return found != nullptr;
}

struct Adapter {
  DMA_ADAPTER header;  // what the driver was given
  DmaArena* arena;     // I  null: the pool
};
Adapter& as_adapter(PDMA_ADAPTER adapter) { return *reinterpret_cast<Adapter*>(adapter); }

// These are reached through the adapter's table, not as exports, so the table of exports cannot check their level.
void check_passive(const void* adapter) {
  if (const Irql level = current_irql(); level != Irql::Passive && sys().options.irql_checks == Options::IrqlChecks::Strict)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(level), as_parameter(adapter), 0},
              "A common buffer was allocated or freed above PASSIVE_LEVEL.", "IRQL-4");
}

VOID NTAPI put_adapter(PDMA_ADAPTER adapter) { discard(adapter); }

PVOID NTAPI allocate_common_buffer(PDMA_ADAPTER adapter, ULONG length, PPHYSICAL_ADDRESS logical, BOOLEAN) {
  check_passive(adapter);
  std::uint64_t physical = 0;
  void* memory = nullptr;
  if (DmaArena* arena = as_adapter(adapter).arena) {
    memory = take(*arena, length, physical);
  } else {
    memory = sys().pool.allocate(ROUND_TO_PAGES(length), kCommonTag);
    physical = reinterpret_cast<std::uintptr_t>(memory);
  }
  if (memory == nullptr) return nullptr;
  std::memset(memory, 0, length);
  logical->QuadPart = static_cast<LONGLONG>(physical);
  return memory;
}

VOID NTAPI free_common_buffer(PDMA_ADAPTER adapter, ULONG, PHYSICAL_ADDRESS, PVOID memory, BOOLEAN) {
  check_passive(adapter);
  if (DmaArena* arena = as_adapter(adapter).arena) {
    if (!give_back(*arena, memory)) remark("kdpc: FreeCommonBuffer was given %p, which is no common buffer of this adapter", memory);
  } else {
    sys().pool.free(memory, kCommonTag);
  }
}

ULONG NTAPI alignment(PDMA_ADAPTER) { return 1; }
ULONG NTAPI read_counter(PDMA_ADAPTER) { return 0; }

// Packet DMA is refused: a driver that can fail, fails with a status, and one that cannot is told why.
constexpr const char* kRefused = "kdpc: packet DMA is not supported; use common buffers";
NTSTATUS NTAPI allocate_channel(PDMA_ADAPTER, PDEVICE_OBJECT, ULONG, PDRIVER_CONTROL, PVOID) { return remark("%s", kRefused), STATUS_NOT_SUPPORTED; }
BOOLEAN NTAPI flush_buffers(PDMA_ADAPTER, PMDL, PVOID, PVOID, ULONG, BOOLEAN) { return FALSE; }
VOID NTAPI free_channel(PDMA_ADAPTER) {}
VOID NTAPI free_map_registers(PDMA_ADAPTER, PVOID, ULONG) {}
PHYSICAL_ADDRESS NTAPI map_transfer(PDMA_ADAPTER, PMDL, PVOID, PVOID, PULONG length, BOOLEAN) {
  remark("%s", kRefused);
  *length = 0;
  return {};
}
NTSTATUS NTAPI get_list(PDMA_ADAPTER, PDEVICE_OBJECT, PMDL, PVOID, ULONG, PDRIVER_LIST_CONTROL, PVOID, BOOLEAN) {
  return remark("%s", kRefused), STATUS_NOT_SUPPORTED;
}
VOID NTAPI put_list(PDMA_ADAPTER, PSCATTER_GATHER_LIST, BOOLEAN) {}
NTSTATUS NTAPI list_size(PDMA_ADAPTER, PMDL, PVOID, ULONG, PULONG, PULONG) { return STATUS_NOT_SUPPORTED; }
NTSTATUS NTAPI build_list(PDMA_ADAPTER, PDEVICE_OBJECT, PMDL, PVOID, ULONG, PDRIVER_LIST_CONTROL, PVOID, BOOLEAN, PVOID, ULONG) {
  return remark("%s", kRefused), STATUS_NOT_SUPPORTED;
}
NTSTATUS NTAPI build_mdl(PDMA_ADAPTER, PSCATTER_GATHER_LIST, PMDL, PMDL*) { return STATUS_NOT_SUPPORTED; }

constexpr DMA_OPERATIONS kOperations = {sizeof(DMA_OPERATIONS),
                                        put_adapter,
                                        allocate_common_buffer,
                                        free_common_buffer,
                                        allocate_channel,
                                        flush_buffers,
                                        free_channel,
                                        free_map_registers,
                                        map_transfer,
                                        alignment,
                                        read_counter,
                                        get_list,
                                        put_list,
                                        list_size,
                                        build_list,
                                        build_mdl};

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

extern "C" PDMA_ADAPTER NTAPI IoGetDmaAdapter(PDEVICE_OBJECT PhysicalDeviceObject, PDEVICE_DESCRIPTION DeviceDescription,
                                              PULONG NumberOfMapRegisters) {
  KDPC_ROUTINE(IoGetDmaAdapter);
  if (DeviceDescription->Version > DEVICE_DESCRIPTION_VERSION2) return nullptr;  // version 3 has operations of its own
  auto* adapter = make<dma::Adapter>();
  if (adapter == nullptr) return nullptr;
  adapter->header.Version = 1;
  adapter->header.Size = sizeof(DMA_ADAPTER);
  adapter->header.DmaOperations = const_cast<DMA_OPERATIONS*>(&dma::kOperations);
  const PhysicalDevice* physical = PhysicalDeviceObject != nullptr ? state_of(PhysicalDeviceObject).physical : nullptr;
  adapter->arena = physical != nullptr ? physical->arena : nullptr;
  if (NumberOfMapRegisters != nullptr) *NumberOfMapRegisters = dma::kMapRegisters;
  return &adapter->header;
}
