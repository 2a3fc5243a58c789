/* A cancel routine returns with the cancel lock, which it was called with and has to let go. */
#include "reader.h"

static VOID Cancel(PDEVICE_OBJECT Device, PIRP Irp) {
  UNREFERENCED_PARAMETER(Device);
  UNREFERENCED_PARAMETER(Irp);
#ifndef BAD
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  Complete(Irp, STATUS_CANCELLED);
#endif
}

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) {
  UNREFERENCED_PARAMETER(Device);
  IoMarkIrpPending(Irp);
  IoSetCancelRoutine(Irp, Cancel);
  IoCancelIrp(Irp); /* culprit */
  return STATUS_PENDING;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateReader(DriverObject, &Device);
}
