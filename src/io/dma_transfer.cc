// The operations of a DMA adapter on packets: a driver asks for the channel or for a scatter/gather list, and its routine is called at Dispatch when
// the map registers are there (dma_waiters.h).
//
//    AllocateAdapterChannel --> AdapterControl --> MapTransfer … FlushAdapterBuffers --> FreeMapRegisters
//    GetScatterGatherList ----> AdapterListControl … PutScatterGatherList
#include "io/dma_pieces.h"
#include "io/dma_waiters.h"
#include "io/mdl.h"
#include "io/objects.h"

namespace kdpc::io::dma {

namespace {

NTSTATUS NTAPI allocate_channel(PDMA_ADAPTER dma_adapter, PDEVICE_OBJECT device, ULONG count, PDRIVER_CONTROL routine, PVOID context) {
  check_level(Irql::Dispatch, Irql::Dispatch);
  Adapter& adapter = as_adapter(dma_adapter);
  if (count > adapter.limit) return STATUS_INSUFFICIENT_RESOURCES;
  {
    WaitersLocked locked(manager().dma_lock, LockKind::System);
    for (const DmaWaiter* waiter = manager().dma_waiters; waiter != nullptr; waiter = waiter->next)
      if (waiter->device == device && waiter->control != nullptr)
        violation({0x0B, 2, 0, 0}, "A device asked for a second DMA channel while its first request waits: NT has one wait block per device object.");
  }
  DmaWaiter wanted = {};
  wanted.adapter = &adapter;
  wanted.device = device;
  wanted.registers = count;
  wanted.control = routine;
  wanted.context = context;
  return ask(wanted);
}

VOID NTAPI free_channel(PDMA_ADAPTER dma_adapter) {
  check_level(Irql::Dispatch, Irql::Dispatch);
  Adapter& adapter = as_adapter(dma_adapter);
  MapRegisters* kept = nullptr;
  {
    WaitersLocked locked(manager().dma_lock, LockKind::System);
    if (!adapter.channel_taken) violation({4, 1, 0, 0}, "A DMA channel was freed that is not allocated.");
    adapter.channel_taken = false;
    std::swap(kept, adapter.kept);
  }
  if (kept != nullptr) release(kept);
  serve_waiters();
}

VOID NTAPI free_map_registers(PDMA_ADAPTER dma_adapter, PVOID base, ULONG count) {
  check_level(Irql::Dispatch, Irql::Dispatch);
  auto* registers = static_cast<MapRegisters*>(base);
  if (!is_live(registers, as_adapter(dma_adapter)) || count > registers->count)
    violation({5, count, 0, 0}, "Map registers were freed that are not allocated, or more than there are.");
  if (registers->mapped != 0) violation({0x10, BYTES_TO_PAGES(registers->mapped), 0, 0}, "Map registers were freed before FlushAdapterBuffers.");
  release(registers);
  serve_waiters();
}

// The part of the transfer that is contiguous for the device; `length` becomes its size.
PHYSICAL_ADDRESS NTAPI map_transfer(PDMA_ADAPTER dma_adapter, PMDL mdl, PVOID base, PVOID current, PULONG length, BOOLEAN to_device) {
  check_level(Irql::Passive, Irql::Dispatch);
  const auto* va = static_cast<const char*>(current);
  check_buffer(mdl, va, *length);
  auto& registers = *static_cast<MapRegisters*>(base);
  PHYSICAL_ADDRESS logical = {};
  if (registers.bounce == nullptr || !needs_bounce(as_adapter(dma_adapter), mdl, va, *length)) {
    std::uint64_t start = 0, end = 0;
    bool adjacent = true;
    for_each_piece(mdl, va, *length, [&](char*, std::uint64_t physical, ULONG piece) {
      if (end == 0) start = end = physical;
      adjacent = adjacent && physical == end;
      if (adjacent) end = physical + piece;
    });
    *length = static_cast<ULONG>(end - start);
    logical.QuadPart = static_cast<LONGLONG>(start);
  } else {
    if (registers.mapped == 0) registers.first = va, registers.offset = BYTE_OFFSET(va);
    const auto offset = registers.offset + static_cast<ULONG>(va - registers.first);
    if (va < registers.first || offset + std::uint64_t{*length} > std::uint64_t{registers.count} * PAGE_SIZE)
      violation({0x0D, registers.mapped + *length, registers.count * PAGE_SIZE, 0}, "More was mapped for DMA than the map registers hold.");
    if (to_device) copy_out(mdl, va, *length, registers.bounce + offset);
    logical.QuadPart = static_cast<LONGLONG>(registers.physical + offset);
  }
  registers.mapped += *length;
  return logical;
}

BOOLEAN NTAPI flush_buffers(PDMA_ADAPTER dma_adapter, PMDL mdl, PVOID base, PVOID current, ULONG length, BOOLEAN to_device) {
  check_level(Irql::Passive, Irql::Dispatch);
  const auto* va = static_cast<const char*>(current);
  auto& registers = *static_cast<MapRegisters*>(base);
  if (registers.mapped == 0)
    violation({0x20, as_parameter(base), as_parameter(current), as_parameter(mdl)},
              "FlushAdapterBuffers was called for a transfer that was not mapped.");
  if (length > registers.mapped) violation({0, 1, registers.mapped, length}, "FlushAdapterBuffers was asked to flush more than was mapped.");
  if (length != 0 && !to_device && registers.bounce != nullptr && needs_bounce(as_adapter(dma_adapter), mdl, va, length))
    copy_in(mdl, va, length, registers.bounce + registers.offset + (va - registers.first));
  registers.mapped = 0;
  return TRUE;
}

// Of a list for these bytes.
NTSTATUS NTAPI list_size(PDMA_ADAPTER dma_adapter, PMDL mdl, PVOID current, ULONG length, PULONG size, PULONG map_registers) {
  check_level(Irql::Passive, Irql::Dispatch);
  ULONG pages = ADDRESS_AND_SIZE_TO_SPAN_PAGES(current, length);
  if (mdl != nullptr) {
    pages = 0;
    for_each_piece(mdl, static_cast<const char*>(current), length, [&](char*, std::uint64_t, ULONG) { ++pages; });
  }
  if (pages > as_adapter(dma_adapter).limit) return STATUS_INSUFFICIENT_RESOURCES;
  *size = static_cast<ULONG>(size_of_list(pages));
  if (map_registers != nullptr) *map_registers = pages;
  return STATUS_SUCCESS;
}

NTSTATUS ask_for_list(PDMA_ADAPTER dma_adapter, PDEVICE_OBJECT device, PMDL mdl, PVOID current, ULONG length, PDRIVER_LIST_CONTROL routine,
                      PVOID context, BOOLEAN to_device, SCATTER_GATHER_LIST* buffer, ULONG room) {
  check_level(Irql::Dispatch, Irql::Dispatch);
  check_buffer(mdl, static_cast<const char*>(current), length);
  ULONG size = 0, pages = 0;
  if (const NTSTATUS status = list_size(dma_adapter, mdl, current, length, &size, &pages); !NT_SUCCESS(status)) return status;
  if (buffer != nullptr && room < size) return STATUS_BUFFER_TOO_SMALL;
  Adapter& adapter = as_adapter(dma_adapter);
  DmaWaiter wanted = {};
  wanted.adapter = &adapter;
  wanted.device = device;
  wanted.registers = adapter.arena != nullptr && !needs_bounce(adapter, mdl, static_cast<const char*>(current), length) ? 0 : pages;
  wanted.list = routine;
  wanted.context = context;
  wanted.mdl = mdl;
  wanted.va = static_cast<char*>(current);
  wanted.length = length;
  wanted.pieces = pages;
  wanted.to_device = to_device != 0;
  wanted.buffer = buffer;
  return ask(wanted);
}

NTSTATUS NTAPI get_list(PDMA_ADAPTER adapter, PDEVICE_OBJECT device, PMDL mdl, PVOID current, ULONG length, PDRIVER_LIST_CONTROL routine,
                        PVOID context, BOOLEAN to_device) {
  return ask_for_list(adapter, device, mdl, current, length, routine, context, to_device, nullptr, 0);
}

NTSTATUS NTAPI build_list(PDMA_ADAPTER adapter, PDEVICE_OBJECT device, PMDL mdl, PVOID current, ULONG length, PDRIVER_LIST_CONTROL routine,
                          PVOID context, BOOLEAN to_device, PVOID buffer, ULONG room) {
  return ask_for_list(adapter, device, mdl, current, length, routine, context, to_device, static_cast<SCATTER_GATHER_LIST*>(buffer), room);
}

VOID NTAPI put_list(PDMA_ADAPTER dma_adapter, PSCATTER_GATHER_LIST list, BOOLEAN to_device) {
  check_level(Irql::Dispatch, Irql::Dispatch);
  Adapter& adapter = as_adapter(dma_adapter);
  auto* record = reinterpret_cast<ListRecord*>(list->Reserved);
  if (adapter.lists == 0 || !sys().pool.contains(record) || record->mark != kListMark)
    violation({6, adapter.lists, adapter.lists + 1, 0}, "A scatter/gather list was given back that is not in use.");
  if (to_device == 0 && record->registers->bounce != nullptr)
    copy_in(record->mdl, record->va, record->length, record->registers->bounce + BYTE_OFFSET(record->va));
  release(record->registers);
  if (record->callers) {
    list->Reserved = 0;
  } else {
    discard(list, kTransferTag);
  }
  discard(record, kTransferTag);
  __atomic_sub_fetch(&adapter.lists, 1, __ATOMIC_SEQ_CST);
  serve_waiters();
}

// The memory the device sees as an MDL: the original one, or of the pages it is copied through.
NTSTATUS NTAPI build_mdl(PDMA_ADAPTER, PSCATTER_GATHER_LIST list, PMDL original, PMDL* target) {
  check_level(Irql::Passive, Irql::Dispatch);
  const auto* record = reinterpret_cast<const ListRecord*>(list->Reserved);
  *target = original;
  if (record->registers->bounce == nullptr) return STATUS_SUCCESS;
  *target = mdl::allocate(record->registers->bounce + BYTE_OFFSET(record->va), record->length);
  if (*target == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  mdl::lock(*target);
  return STATUS_SUCCESS;
}

}  // namespace

void add_transfers(DMA_OPERATIONS& operations) {
  operations.AllocateAdapterChannel = allocate_channel;
  operations.FlushAdapterBuffers = flush_buffers;
  operations.FreeAdapterChannel = free_channel;
  operations.FreeMapRegisters = free_map_registers;
  operations.MapTransfer = map_transfer;
  operations.GetScatterGatherList = get_list;
  operations.PutScatterGatherList = put_list;
  operations.CalculateScatterGatherList = list_size;
  operations.BuildScatterGatherList = build_list;
  operations.BuildMdlFromScatterGatherList = build_mdl;
}

}  // namespace kdpc::io::dma
