/* STATUS_PENDING for an application's IRP that was never marked. */
#include "reader.h"

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) { /* culprit */
  UNREFERENCED_PARAMETER(Device);
#ifndef BAD
  IoMarkIrpPending(Irp);
#endif
  Complete(Irp, STATUS_SUCCESS);
  return STATUS_PENDING;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateReader(DriverObject, &Device);
}
