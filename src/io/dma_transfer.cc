// Transfers of packets: a driver asks for the channel or for a scatter/gather list, and its routine is called at Dispatch when the map registers are
// there: inside the call, or later, from whoever frees some (CTX-4). Requests for the memory of one board are served in the order in which they came.
//
//    AllocateAdapterChannel --> AdapterControl --> MapTransfer … FlushAdapterBuffers --> FreeMapRegisters
//    GetScatterGatherList ----> AdapterListControl … PutScatterGatherList
#include "io/dma.h"
#include "io/mdl.h"
#include "io/objects.h"

namespace kdpc::io {

// One request that waits, or is about to be served.
struct DmaWaiter {
  DmaWaiter* next;  // R
  dma::Adapter* adapter;
  DEVICE_OBJECT* device;
  IRP* irp;  // the device's current one when it was asked for
  ULONG registers;
  PDRIVER_CONTROL control;    // of a channel
  PDRIVER_LIST_CONTROL list;  // of a list, with the rest
  void* context;
  MDL* mdl;
  char* va;
  ULONG length;
  ULONG pieces;  // at most so many elements
  bool to_device;
  SCATTER_GATHER_LIST* buffer;  // the caller's; null: of the pool
};

}  // namespace kdpc::io

namespace kdpc::io::dma {

namespace {

using WaitersLocked = Locked<Irql::Dispatch>;

constexpr std::uint32_t kTransferTag = pool_tag("DmaX");
constexpr std::uint64_t kListMark = 0x7473694C616D44;  // "DmaList"

// What PutScatterGatherList needs to know; the list's Reserved field leads to it.
struct ListRecord {
  std::uint64_t mark;
  MapRegisters* registers;
  MDL* mdl;
  char* va;
  ULONG length;
  bool callers;  // the list's memory is
};

bool is_reachable(const DmaArena* arena, std::uint64_t physical) {
  return arena == nullptr || (physical >= arena->memory.physical && physical - arena->memory.physical < arena->memory.size);
}

// -- the bytes of a chain of MDLs -------------------------------------------------------------------------------------------------------------

// Calls visit(address, physical, length) for every piece that lies in one page, from `va` on. `va` is an address of the first MDL.
template <class Visit>
void for_each_piece(const MDL* mdl, const char* va, ULONG length, Visit visit) {
  const char* at = va;
  while (mdl != nullptr && length != 0) {
    const char* start = static_cast<const char*>(MmGetMdlVirtualAddress(mdl));
    if (at == nullptr) at = start;
    ULONG left = mdl->ByteCount - static_cast<ULONG>(at - start);
    if (left > length) left = length;
    length -= left;
    while (left != 0) {
      const ULONG in_page = PAGE_SIZE - BYTE_OFFSET(at);
      const ULONG piece = in_page < left ? in_page : left;
      const auto page = static_cast<std::size_t>(at - static_cast<const char*>(mdl->StartVa)) >> PAGE_SHIFT;
      visit(const_cast<char*>(at), (static_cast<std::uint64_t>(MmGetMdlPfnArray(mdl)[page]) << PAGE_SHIFT) + BYTE_OFFSET(at), piece);
      at += piece;
      left -= piece;
    }
    mdl = mdl->Next;
    at = nullptr;
  }
  if (length != 0) violation({0x24, length, 0, 0}, "A DMA transfer is longer than the buffer that its MDLs describe.");
}

void check_buffer(const MDL* mdl, const char* va, ULONG length) {
  if ((mdl->MdlFlags & (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)) == 0)
    violation({0x0E, as_parameter(mdl), 0, 0}, "A DMA transfer uses an MDL whose pages are not locked.");
  const char* start = static_cast<const char*>(MmGetMdlVirtualAddress(mdl));
  if (va < start) violation({0x1F, 1, as_parameter(va), as_parameter(mdl)}, "A DMA transfer begins before its MDL.");
  if (va >= start + mdl->ByteCount) violation({0x1F, 2, as_parameter(va), as_parameter(mdl)}, "A DMA transfer begins behind its MDL.");
  if (length == 0) violation({0x21, 0, 0, 0}, "A DMA transfer of no bytes was asked for.");
}

bool needs_bounce(const Adapter& adapter, const MDL* mdl, const char* va, ULONG length) {
  bool reachable = true;
  for_each_piece(mdl, va, length, [&](char*, std::uint64_t physical, ULONG) { reachable = reachable && is_reachable(adapter.arena, physical); });
  return !reachable;
}

void copy_out(const MDL* mdl, const char* va, ULONG length, std::byte* to) {
  for_each_piece(mdl, va, length, [&](char* at, std::uint64_t, ULONG piece) {
    std::memcpy(to, at, piece);
    to += piece;
  });
}

void copy_in(const MDL* mdl, const char* va, ULONG length, const std::byte* from) {
  for_each_piece(mdl, va, length, [&](char* at, std::uint64_t, ULONG piece) {
    std::memcpy(at, from, piece);
    from += piece;
  });
}

// -- map registers ----------------------------------------------------------------------------------------------------------------------------

// Null: not now.
MapRegisters* allocate(Adapter& adapter, ULONG count) {
  auto* registers = make<MapRegisters>(sizeof(MapRegisters), kTransferTag);
  if (registers == nullptr) return nullptr;
  registers->adapter = &adapter;
  registers->count = count;
  if (adapter.arena != nullptr && count != 0) {
    registers->bounce = static_cast<std::byte*>(take(*adapter.arena, std::size_t{count} * PAGE_SIZE, registers->physical));
    if (registers->bounce == nullptr) return discard(registers, kTransferTag), nullptr;
  } else {
    bool there = false;
    {
      Guard guard;
      there = manager().map_registers_used + count <= kMapRegisters;
      if (there) manager().map_registers_used += count;
    }
    if (!there) return discard(registers, kTransferTag), nullptr;
  }
  __atomic_add_fetch(&adapter.registers_in_use, count, __ATOMIC_SEQ_CST);
  return registers;
}

void release(MapRegisters* registers) {
  Adapter& adapter = *registers->adapter;
  if (registers->bounce != nullptr) {
    give_back(*adapter.arena, registers->bounce);
  } else {
    Guard guard;
    manager().map_registers_used -= registers->count;
  }
  __atomic_sub_fetch(&adapter.registers_in_use, registers->count, __ATOMIC_SEQ_CST);
  discard(registers, kTransferTag);
}

bool is_live(const MapRegisters* registers, const Adapter& adapter) {
  const PoolBlock* block = sys().pool.contains(registers) ? reinterpret_cast<const PoolBlock*>(registers) - 1 : nullptr;
  return block != nullptr && block->magic == Pool::kAllocated && block->tag == kTransferTag && registers->adapter == &adapter;
}

// -- serving ----------------------------------------------------------------------------------------------------------------------------------

// The driver's routine must leave at the level it was called at.
void check_left_at(Irql before, const void* routine) {
  if (const Irql after = current_irql(); after != before)
    bug_check(stop::IrqlUnexpectedValue, {as_parameter(after) << 16 | as_parameter(before) << 8 | 2, as_parameter(routine), 0, 0},
              "A driver's DMA routine returned at another IRQL than it was called at.", "CTX-4");
}

void give_channel(const DmaWaiter& waiter, MapRegisters* registers) {
  Adapter& adapter = *waiter.adapter;
  const IO_ALLOCATION_ACTION action = waiter.control(waiter.device, waiter.irp, registers, waiter.context);
  check_left_at(Irql::Dispatch, reinterpret_cast<const void*>(waiter.control));
  if (action == DeallocateObject) release(registers);
  WaitersLocked locked(manager().dma_lock, LockKind::Dispatcher);
  adapter.kept = action == KeepObject ? registers : nullptr;
  adapter.channel_taken = action == KeepObject;
}

// Elements of what a device sees, adjacent pages in one.
ULONG fill_elements(SCATTER_GATHER_LIST& list, const DmaWaiter& waiter, const MapRegisters& registers) {
  ULONG count = 0;
  if (registers.bounce != nullptr) {
    list.Elements[0] = {{}, waiter.length, 0};
    list.Elements[0].Address.QuadPart = static_cast<LONGLONG>(registers.physical + BYTE_OFFSET(waiter.va));
    return 1;
  }
  for_each_piece(waiter.mdl, waiter.va, waiter.length, [&](char*, std::uint64_t physical, ULONG length) {
    if (count != 0) {
      SCATTER_GATHER_ELEMENT& last = list.Elements[count - 1];
      if (static_cast<std::uint64_t>(last.Address.QuadPart) + last.Length == physical) {
        last.Length += length;
        return;
      }
    }
    list.Elements[count] = {{}, length, 0};
    list.Elements[count++].Address.QuadPart = static_cast<LONGLONG>(physical);
  });
  return count;
}

std::size_t size_of_list(ULONG elements) { return sizeof(SCATTER_GATHER_LIST) + elements * sizeof(SCATTER_GATHER_ELEMENT); }

void give_list(const DmaWaiter& waiter, MapRegisters* registers, SCATTER_GATHER_LIST* list, ListRecord* record) {
  if (registers->bounce != nullptr && waiter.to_device) copy_out(waiter.mdl, waiter.va, waiter.length, registers->bounce + BYTE_OFFSET(waiter.va));
  *record = {kListMark, registers, waiter.mdl, waiter.va, waiter.length, waiter.buffer != nullptr};
  list->Reserved = reinterpret_cast<ULONG_PTR>(record);
  list->NumberOfElements = fill_elements(*list, waiter, *registers);
  waiter.list(waiter.device, waiter.irp, list, waiter.context);
  check_left_at(Irql::Dispatch, reinterpret_cast<const void*>(waiter.list));
}

// With the lock of the waiters. Does `earlier` hold up `later`? Who only waits for a channel does not keep others from map registers.
bool holds_up(const DmaWaiter& earlier, const DmaWaiter& later) {
  if (earlier.control != nullptr && later.control != nullptr && earlier.adapter == later.adapter) return true;
  const bool waits_for_registers = earlier.control == nullptr || !earlier.adapter->channel_taken;
  return waits_for_registers && earlier.adapter->arena == later.adapter->arena;
}

bool is_held_up(const DmaWaiter& later) {
  for (const DmaWaiter* waiter = manager().dma_waiters; waiter != nullptr && waiter != &later; waiter = waiter->next)
    if (holds_up(*waiter, later)) return true;
  return false;
}

void unlink(DmaWaiter* waiter) {
  DmaWaiter** slot = &manager().dma_waiters;
  while (*slot != waiter) slot = &(*slot)->next;
  *slot = waiter->next;
}

void queue(DmaWaiter* waiter) {
  DmaWaiter** slot = &manager().dma_waiters;
  while (*slot != nullptr) slot = &(*slot)->next;
  *slot = waiter;
}

// With the lock of the waiters. Takes the channel too, if a channel is asked for. Null: not now.
MapRegisters* try_to_serve(const DmaWaiter& waiter) {
  Adapter& adapter = *waiter.adapter;
  if (is_held_up(waiter) || (waiter.control != nullptr && adapter.channel_taken)) return nullptr;
  MapRegisters* registers = allocate(adapter, waiter.registers);
  if (registers != nullptr && waiter.control != nullptr) adapter.channel_taken = true;
  return registers;
}

// False: no memory for the list.
bool serve(DmaWaiter* waiter, MapRegisters* registers) {
  if (waiter->control != nullptr) {
    const DmaWaiter request = *waiter;
    discard(waiter, kTransferTag);
    give_channel(request, registers);
    return true;
  }
  auto* record = make<ListRecord>(sizeof(ListRecord), kTransferTag);
  auto* list = waiter->buffer != nullptr ? waiter->buffer : make<SCATTER_GATHER_LIST>(size_of_list(waiter->pieces), kTransferTag);
  if (record == nullptr || list == nullptr) {
    if (record != nullptr) discard(record, kTransferTag);
    if (list != nullptr && waiter->buffer == nullptr) discard(list, kTransferTag);
    release(registers);
    discard(waiter, kTransferTag);
    return false;
  }
  __atomic_add_fetch(&waiter->adapter->lists, 1, __ATOMIC_SEQ_CST);
  const DmaWaiter request = *waiter;
  discard(waiter, kTransferTag);
  give_list(request, registers, list, record);
  return true;
}

// Now, or when somebody frees what is missing.
NTSTATUS ask(const DmaWaiter& wanted) {
  auto* waiter = make<DmaWaiter>(sizeof(DmaWaiter), kTransferTag);
  if (waiter == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  *waiter = wanted;
  waiter->irp = wanted.device->CurrentIrp;
  MapRegisters* registers = nullptr;
  {
    WaitersLocked locked(manager().dma_lock, LockKind::Dispatcher);
    registers = try_to_serve(*waiter);
    if (registers == nullptr) queue(waiter);
  }
  if (registers == nullptr) return STATUS_SUCCESS;
  const NTSTATUS status = serve(waiter, registers) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
  serve_waiters();
  return status;
}

// -- the operations ---------------------------------------------------------------------------------------------------------------------------

NTSTATUS NTAPI allocate_channel(PDMA_ADAPTER dma_adapter, PDEVICE_OBJECT device, ULONG count, PDRIVER_CONTROL routine, PVOID context) {
  check_level(Irql::Dispatch, Irql::Dispatch);
  Adapter& adapter = as_adapter(dma_adapter);
  if (count > adapter.limit) return STATUS_INSUFFICIENT_RESOURCES;
  {
    WaitersLocked locked(manager().dma_lock, LockKind::Dispatcher);
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
    WaitersLocked locked(manager().dma_lock, LockKind::Dispatcher);
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

// A waiter is served outside the lock, so the list is looked at anew after each.
void serve_waiters() {
  for (;;) {
    DmaWaiter* ready = nullptr;
    MapRegisters* registers = nullptr;
    {
      WaitersLocked locked(manager().dma_lock, LockKind::Dispatcher);
      for (ready = manager().dma_waiters; ready != nullptr; ready = ready->next)
        if ((registers = try_to_serve(*ready)) != nullptr) break;
      if (ready == nullptr) return;
      unlink(ready);
    }
    serve(ready, registers);
  }
}

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
