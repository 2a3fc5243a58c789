/* A cancel routine completes its IRP before it lets go of the cancel lock. */
#include "reader.h"

static VOID Cancel(PDEVICE_OBJECT Device, PIRP Irp) {
  KIRQL OldIrql = Irp->CancelIrql;
  UNREFERENCED_PARAMETER(Device);
#ifndef BAD
  IoReleaseCancelSpinLock(OldIrql);
#endif
  Irp->IoStatus.Status = STATUS_CANCELLED;
  Irp->IoStatus.Information = 0;
  IoCompleteRequest(Irp, IO_NO_INCREMENT); /* culprit */
#ifdef BAD
  IoReleaseCancelSpinLock(OldIrql);
#endif
}

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) {
  UNREFERENCED_PARAMETER(Device);
  IoMarkIrpPending(Irp);
  IoSetCancelRoutine(Irp, Cancel);
  IoCancelIrp(Irp);
  return STATUS_PENDING;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateReader(DriverObject, &Device);
}
