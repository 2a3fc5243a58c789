// I/O request packets: their life from allocation to the final stage.
//
//    allocate --call()--> driver --call()--> lower driver … complete() --completion routines, lowest first--> final stage --> freed
//
//   K.IRP-1  CurrentLocation is StackCount + 1 before the first call(), falls with each, rises during complete(), and is StackCount + 2 from
//            the final stage on; so a second completion is seen (IRP-2).
//   K.IRP-2  Who cancels an application's request for it holds it meanwhile: with the last of him and the final stage its sender goes on, and may free it.
#pragma once
#include "io/objects.h"
#include "kernel/pool.h"

namespace kdpc::io {

struct Request;

// Behind the stack locations of every IRP that the I/O manager allocated.
struct IrpState {
  Request* request;           // I  of an application that waits; null: a driver's
  bool automatic;             // I  the final stage frees it: built by IoBuild…Request
  bool belongs_to_thread;     // I  only the final stage may free it: built by a synchronous IoBuild…Request
  std::uint64_t output_size;  // I  bytes at UserBuffer
};

namespace irp {

inline constexpr UCHAR kHasState = 0x80;  // in IRP::AllocationFlags
inline constexpr std::uint32_t kIrpTag = pool_tag("Irp ");

// At most Dispatch. Null: no memory. `owner`: the driver's call, if it must free the IRP itself.
IRP* allocate(CCHAR stack_size, const void* owner = nullptr);
void initialize(IRP& irp, std::size_t size, CCHAR stack_size);
void free(IRP* irp);
// Null: the driver's own memory.
IrpState* state_of(IRP* irp);

NTSTATUS call(DEVICE_OBJECT* device, IRP* irp);
void complete(IRP* irp, CCHAR boost);
// NT's rule for the Control bits of IoSetCompletionRoutine: is its routine called for this outcome?
bool is_wanted(UCHAR control, const IRP* irp);
// For our own drivers: sets the status and completes. Returns the status.
NTSTATUS complete(IRP* irp, NTSTATUS status);

// The buffers of a request as the device's flags or the control code ask for them. `memory` is of the World. STATUS_INSUFFICIENT_RESOURCES.
NTSTATUS give_read_buffers(IRP* irp, const DEVICE_OBJECT* device, void* memory, std::size_t size);
NTSTATUS give_write_buffers(IRP* irp, const DEVICE_OBJECT* device, void* memory, std::size_t size);
NTSTATUS give_control_buffers(IRP* irp, IO_STACK_LOCATION* location, void* input, std::size_t input_size, void* output, std::size_t output_size);
// Copies out what a buffered request returned, and frees what the others gave.
void take_buffers(IRP* irp);

// At most Dispatch. True: a cancel routine was called (IRP-3). `held`: by the caller, let go as soon as the IRP is the cancel routine's, or nobody's.
bool cancel(IRP* irp, Request* held = nullptr);
// What a driver does with IoSetCancelRoutine and Irp->Cancel, done by the kernel, which says so.
PDRIVER_CANCEL exchange_cancel_routine(IRP* irp, PDRIVER_CANCEL routine);
bool is_cancelled(const IRP* irp);

// Those that were sent and have not come to their final stage. Where nobody else goes on meanwhile: on the host context; or on the simulated machine, with a
// visit that is no window.
template <class Visit>
void for_each_sent(Visit&& visit) {
  sys().pool.for_each_live([&](const PoolBlock& block, std::byte* memory) {
    auto& irp = *reinterpret_cast<IRP*>(memory);
    if (block.tag == kIrpTag && irp.Type == IO_TYPE_IRP && irp.CurrentLocation <= irp.StackCount) visit(irp);
  });
}

}  // namespace irp
}  // namespace kdpc::io
