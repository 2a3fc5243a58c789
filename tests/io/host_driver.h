// A driver made of functions of a test: created, given routines and devices, without a file.
#pragma once
#include <wdm.h>

#include "io/objects.h"
#include "kdpc/test.h"

namespace kdpc::test {

// In a thread at Passive.
inline io::Driver& make_driver(std::u16string_view name = u"tested") { return *io::driver::create(name, nullptr, nullptr, 0); }

inline DEVICE_OBJECT* make_device(io::Driver& driver, std::u16string_view name = u"\\Device\\Tested", ULONG flags = DO_BUFFERED_IO) {
  DEVICE_OBJECT* device = nullptr;
  KDPC_EXPECT_EQ(io::device::create(driver, 64, name, FILE_DEVICE_UNKNOWN, 0, false, device), STATUS_SUCCESS);
  device->Flags = (device->Flags & ~static_cast<ULONG>(DO_DEVICE_INITIALIZING)) | flags;
  return device;
}

inline NTSTATUS finish(PIRP irp, NTSTATUS status, ULONG_PTR information = 0, CCHAR boost = IO_NO_INCREMENT) {
  irp->IoStatus.Status = status;
  irp->IoStatus.Information = information;
  IoCompleteRequest(irp, boost);
  return status;
}

inline NTSTATUS NTAPI succeed(PDEVICE_OBJECT, PIRP irp) { return finish(irp, STATUS_SUCCESS); }

// Opens, closes and cleans up always succeed.
inline void accept_files(io::Driver& driver) {
  for (const int major : {IRP_MJ_CREATE, IRP_MJ_CLEANUP, IRP_MJ_CLOSE}) driver.object.MajorFunction[major] = succeed;
}

}  // namespace kdpc::test
