// Who gets a DMA channel, or map registers for a list, and when: at once, or when somebody frees what is missing (CTX-4). Requests for the memory of
// one board are served in the order in which they came.
#pragma once
#include "io/dma.h"

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

namespace dma {

using WaitersLocked = Locked<Irql::Dispatch>;  // of Manager::dma_lock

inline constexpr std::uint32_t kTransferTag = pool_tag("DmaX");
inline constexpr std::uint64_t kListMark = 0x7473694C616D44;  // "DmaList"

// What PutScatterGatherList needs to know; the list's Reserved field leads to it.
struct ListRecord {
  std::uint64_t mark;
  MapRegisters* registers;
  MDL* mdl;
  char* va;
  ULONG length;
  bool callers;  // the list's memory is
};

std::size_t size_of_list(ULONG elements);

// At Dispatch, as the rest. The driver's routine is called now or later, with map registers, or a list whose Reserved leads to its record.
NTSTATUS ask(const DmaWaiter& wanted);
// Does the driver's MapRegisterBase name map registers of this adapter that have not been released?
bool is_live(const MapRegisters* registers, const Adapter& adapter);
// Whoever waits for them is not served yet: serve_waiters().
void release(MapRegisters* registers);

}  // namespace dma
}  // namespace kdpc::io
