// How the bytes of a request reach a driver: copied (buffered), described by an MDL (direct), or as the requestor's own address (neither).
#include "io/irp.h"
#include "io/mdl.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::irp {

namespace {

constexpr std::uint32_t kBufferTag = pool_tag("IoSB");

bool give_system_buffer(IRP* irp, std::size_t size, const void* content, std::size_t content_size) {
  irp->Flags |= IRP_BUFFERED_IO;
  if (size == 0) return true;
  irp->AssociatedIrp.SystemBuffer = sys().pool.allocate(size, kBufferTag);
  if (irp->AssociatedIrp.SystemBuffer == nullptr) return false;
  if (content_size != 0) std::memcpy(irp->AssociatedIrp.SystemBuffer, content, content_size);
  irp->Flags |= IRP_DEALLOCATE_BUFFER;
  return true;
}

bool give_mdl(IRP* irp, void* memory, std::size_t size) {
  if (size == 0) return true;
  irp->MdlAddress = mdl::allocate(memory, size);
  if (irp->MdlAddress == nullptr) return false;
  mdl::lock(irp->MdlAddress);
  return true;
}

NTSTATUS verdict(bool given) { return given ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES; }

void return_to(IRP* irp, void* memory, std::size_t size) {
  irp->UserBuffer = memory;
  if (IrpState* state = state_of(irp)) state->output_size = size;
}

}  // namespace

NTSTATUS give_read_buffers(IRP* irp, const DEVICE_OBJECT* device, void* memory, std::size_t size) {
  return_to(irp, memory, size);
  if ((device->Flags & DO_BUFFERED_IO) != 0) {
    irp->Flags |= IRP_INPUT_OPERATION;
    return verdict(give_system_buffer(irp, size, nullptr, 0));
  }
  return (device->Flags & DO_DIRECT_IO) != 0 ? verdict(give_mdl(irp, memory, size)) : STATUS_SUCCESS;
}

NTSTATUS give_write_buffers(IRP* irp, const DEVICE_OBJECT* device, void* memory, std::size_t size) {
  irp->UserBuffer = memory;
  if ((device->Flags & DO_BUFFERED_IO) != 0) return verdict(give_system_buffer(irp, size, memory, size));
  return (device->Flags & DO_DIRECT_IO) != 0 ? verdict(give_mdl(irp, memory, size)) : STATUS_SUCCESS;
}

NTSTATUS give_control_buffers(IRP* irp, IO_STACK_LOCATION* location, void* input, std::size_t input_size, void* output, std::size_t output_size) {
  auto& parameters = location->Parameters.DeviceIoControl;
  parameters.InputBufferLength = static_cast<ULONG>(input_size);
  parameters.OutputBufferLength = static_cast<ULONG>(output_size);
  switch (METHOD_FROM_CTL_CODE(parameters.IoControlCode)) {
    case METHOD_BUFFERED:
      return_to(irp, output, output_size);
      if (output_size != 0) irp->Flags |= IRP_INPUT_OPERATION;
      return verdict(give_system_buffer(irp, input_size > output_size ? input_size : output_size, input, input_size));
    case METHOD_IN_DIRECT:
    case METHOD_OUT_DIRECT: return verdict(give_system_buffer(irp, input_size, input, input_size) && give_mdl(irp, output, output_size));
    default:
      return_to(irp, output, output_size);
      parameters.Type3InputBuffer = input;
      return STATUS_SUCCESS;
  }
}

void take_buffers(IRP* irp) {
  const IrpState* state = state_of(irp);
  if ((irp->Flags & (IRP_BUFFERED_IO | IRP_INPUT_OPERATION)) == (IRP_BUFFERED_IO | IRP_INPUT_OPERATION) && !NT_ERROR(irp->IoStatus.Status) &&
      irp->UserBuffer != nullptr && irp->AssociatedIrp.SystemBuffer != nullptr && state != nullptr) {
    std::uint64_t size = irp->IoStatus.Information;
    if (size > state->output_size) {
      remark(
          "kdpc: an IRP was completed with IoStatus.Information = %llu, but its output buffer has %llu bytes; NT would copy past the end of both "
          "buffers",
          static_cast<unsigned long long>(size), static_cast<unsigned long long>(state->output_size));
      size = state->output_size;
    }
    std::memcpy(irp->UserBuffer, irp->AssociatedIrp.SystemBuffer, size);
  }
  if ((irp->Flags & IRP_DEALLOCATE_BUFFER) != 0) sys().pool.free(irp->AssociatedIrp.SystemBuffer, kBufferTag);
  irp->AssociatedIrp.SystemBuffer = nullptr;
  irp->Flags &= ~static_cast<ULONG>(IRP_DEALLOCATE_BUFFER | IRP_BUFFERED_IO);
  mdl::free_chain(irp->MdlAddress);
  irp->MdlAddress = nullptr;
}

}  // namespace kdpc::io::irp

using namespace kdpc;
using namespace kdpc::io;

namespace {

// For a driver's own request to another driver; its final stage frees it, if the driver's completion routine has not.
IRP* build(PDEVICE_OBJECT device, UCHAR major, PKEVENT event, PIO_STATUS_BLOCK io_status_block, bool synchronous = true) {
  IRP* built = irp::allocate(device->StackSize);
  if (built == nullptr) return nullptr;
  irp::state_of(built)->automatic = true;
  irp::state_of(built)->belongs_to_thread = synchronous;
  built->UserEvent = event;
  built->UserIosb = io_status_block;
  built->Tail.Overlay.Thread = reinterpret_cast<PETHREAD>(&thread::current());
  IoGetNextIrpStackLocation(built)->MajorFunction = major;
  return built;
}

IRP* give_up(IRP* irp) {
  irp::take_buffers(irp);
  irp::free(irp);
  return nullptr;
}

// What the two IoBuild…FsdRequest have in common. Other requests than reads and writes have no buffer.
IRP* give_transfer(IRP* built, ULONG major, PDEVICE_OBJECT device, PVOID buffer, ULONG length, PLARGE_INTEGER offset) {
  if (built == nullptr || (major != IRP_MJ_READ && major != IRP_MJ_WRITE)) return built;
  IO_STACK_LOCATION* location = IoGetNextIrpStackLocation(built);
  location->Parameters.Read.Length = length;
  if (offset != nullptr) location->Parameters.Read.ByteOffset = *offset;
  const NTSTATUS status =
      major == IRP_MJ_READ ? irp::give_read_buffers(built, device, buffer, length) : irp::give_write_buffers(built, device, buffer, length);
  return NT_SUCCESS(status) ? built : give_up(built);
}

}  // namespace

extern "C" {

PIRP NTAPI IoBuildDeviceIoControlRequest(ULONG IoControlCode, PDEVICE_OBJECT DeviceObject, PVOID InputBuffer, ULONG InputBufferLength,
                                         PVOID OutputBuffer, ULONG OutputBufferLength, BOOLEAN InternalDeviceIoControl, PKEVENT Event,
                                         PIO_STATUS_BLOCK IoStatusBlock) {
  KDPC_ROUTINE(IoBuildDeviceIoControlRequest);
  KDPC_MAY_FAIL(IoBuildDeviceIoControlRequest, nullptr);
  IRP* built = build(DeviceObject, InternalDeviceIoControl != 0 ? IRP_MJ_INTERNAL_DEVICE_CONTROL : IRP_MJ_DEVICE_CONTROL, Event, IoStatusBlock);
  if (built == nullptr) return nullptr;
  IO_STACK_LOCATION* location = IoGetNextIrpStackLocation(built);
  location->Parameters.DeviceIoControl.IoControlCode = IoControlCode;
  const NTSTATUS status = irp::give_control_buffers(built, location, InputBuffer, InputBufferLength, OutputBuffer, OutputBufferLength);
  return NT_SUCCESS(status) ? built : give_up(built);
}

PIRP NTAPI IoBuildSynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length, PLARGE_INTEGER StartingOffset,
                                        PKEVENT Event, PIO_STATUS_BLOCK IoStatusBlock) {
  KDPC_ROUTINE(IoBuildSynchronousFsdRequest);
  KDPC_MAY_FAIL(IoBuildSynchronousFsdRequest, nullptr);
  return give_transfer(build(DeviceObject, static_cast<UCHAR>(MajorFunction), Event, IoStatusBlock), MajorFunction, DeviceObject, Buffer, Length,
                       StartingOffset);
}

PIRP NTAPI IoBuildAsynchronousFsdRequest(ULONG MajorFunction, PDEVICE_OBJECT DeviceObject, PVOID Buffer, ULONG Length, PLARGE_INTEGER StartingOffset,
                                         PIO_STATUS_BLOCK IoStatusBlock) {
  KDPC_ROUTINE(IoBuildAsynchronousFsdRequest);
  KDPC_MAY_FAIL(IoBuildAsynchronousFsdRequest, nullptr);
  return give_transfer(build(DeviceObject, static_cast<UCHAR>(MajorFunction), nullptr, IoStatusBlock, false), MajorFunction, DeviceObject, Buffer,
                       Length, StartingOffset);
}

}  // extern "C"
