// A driver in the test program that is given one device of a board and keeps what IRP_MN_START_DEVICE brought.
#pragma once
#include <gtest/gtest.h>
#include <wdm.h>

#include <string>

#include "io/pnp.h"
#include "tests/io/host_driver.h"

namespace kdpc::test {

namespace started {

inline PDEVICE_OBJECT physical = nullptr, functional = nullptr, below = nullptr;
inline constexpr unsigned kMostInterrupts = 160;
inline unsigned interrupts = 0;  // descriptors of interrupts
inline CM_PARTIAL_RESOURCE_DESCRIPTOR raw_interrupts[kMostInterrupts], translated_interrupts[kMostInterrupts], memory;
inline CM_PARTIAL_RESOURCE_DESCRIPTOR &raw_interrupt = raw_interrupts[0], &translated_interrupt = translated_interrupts[0];
inline PULONG mapped = nullptr;
inline PULONG registers() { return mapped; }

inline void take(const CM_RESOURCE_LIST* list, CM_PARTIAL_RESOURCE_DESCRIPTOR* its_interrupts) {
  interrupts = 0;
  for (ULONG index = 0; index < list->List[0].PartialResourceList.Count; ++index) {
    const CM_PARTIAL_RESOURCE_DESCRIPTOR& descriptor = list->List[0].PartialResourceList.PartialDescriptors[index];
    if (descriptor.Type == CmResourceTypeInterrupt && interrupts < kMostInterrupts) its_interrupts[interrupts++] = descriptor;
    if (descriptor.Type == CmResourceTypeMemory) memory = descriptor;
  }
}

inline NTSTATUS NTAPI pnp(PDEVICE_OBJECT device, PIRP irp) {
  const IO_STACK_LOCATION* location = IoGetCurrentIrpStackLocation(irp);
  switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE:
      IoForwardIrpSynchronously(below, irp);
      take(location->Parameters.StartDevice.AllocatedResources, raw_interrupts);
      take(location->Parameters.StartDevice.AllocatedResourcesTranslated, translated_interrupts);
      mapped = static_cast<PULONG>(MmMapIoSpace(memory.u.Memory.Start, memory.u.Memory.Length, MmNonCached));
      return finish(irp, irp->IoStatus.Status);
    case IRP_MN_REMOVE_DEVICE: {
      IoSkipCurrentIrpStackLocation(irp);
      const NTSTATUS status = IoCallDriver(below, irp);
      IoDetachDevice(below);
      IoDeleteDevice(device);
      return status;
    }
    default: IoSkipCurrentIrpStackLocation(irp); return IoCallDriver(below, irp);
  }
}

inline NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT its_physical) {
  physical = its_physical;
  functional = make_device(*reinterpret_cast<io::Driver*>(driver), {});
  below = IoAttachDeviceToDeviceStack(functional, physical);
  return below != nullptr ? STATUS_SUCCESS : STATUS_NO_SUCH_DEVICE;
}

}  // namespace started

// The driver is called "tested".
inline void start_device(lab::Machine& m, Board& board, std::string_view device, const lab::DeviceOptions& options = {}) {
  m.attach(board);
  m.on(0, PASSIVE_LEVEL, [] {
    io::Driver& driver = make_driver();
    driver.object.MajorFunction[IRP_MJ_PNP] = started::pnp;
    driver.extension.AddDevice = started::add_device;
    driver.object.DriverUnload = [](PDRIVER_OBJECT) NTAPI {};
  });
  std::string why;
  ASSERT_TRUE(m.start_device(device, "tested", why, options)) << why;
}

}  // namespace kdpc::test
