#include "io/dma_waiters.h"

#include "io/dma_pieces.h"
#include "io/objects.h"

namespace kdpc::io::dma {

namespace {

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
  WaitersLocked locked(manager().dma_lock, LockKind::System);
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

}  // namespace

std::size_t size_of_list(ULONG elements) { return sizeof(SCATTER_GATHER_LIST) + elements * sizeof(SCATTER_GATHER_ELEMENT); }

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
  const PoolBlock* block = sys().pool.block_at(registers);
  return block != nullptr && block->tag == kTransferTag && registers->adapter == &adapter;
}

// Now, or when somebody frees what is missing.
NTSTATUS ask(const DmaWaiter& wanted) {
  auto* waiter = make<DmaWaiter>(sizeof(DmaWaiter), kTransferTag);
  if (waiter == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  *waiter = wanted;
  waiter->irp = wanted.device->CurrentIrp;
  MapRegisters* registers = nullptr;
  {
    WaitersLocked locked(manager().dma_lock, LockKind::System);
    registers = try_to_serve(*waiter);
    if (registers == nullptr) queue(waiter);
  }
  if (registers == nullptr) return STATUS_SUCCESS;
  const NTSTATUS status = serve(waiter, registers) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
  serve_waiters();
  return status;
}

// A waiter is served outside the lock, so the list is looked at anew after each.
void serve_waiters() {
  for (;;) {
    DmaWaiter* ready = nullptr;
    MapRegisters* registers = nullptr;
    {
      WaitersLocked locked(manager().dma_lock, LockKind::System);
      for (ready = manager().dma_waiters; ready != nullptr; ready = ready->next)
        if ((registers = try_to_serve(*ready)) != nullptr) break;
      if (ready == nullptr) return;
      unlink(ready);
    }
    serve(ready, registers);
  }
}

}  // namespace kdpc::io::dma
