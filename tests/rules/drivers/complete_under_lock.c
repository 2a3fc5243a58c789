/* An IRP completed while a spin lock is held. */
#include "reader.h"

static KSPIN_LOCK Lock;
static ULONG Reads;

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) {
  KIRQL OldIrql;
  NTSTATUS Status;
  UNREFERENCED_PARAMETER(Device);
  KeAcquireSpinLock(&Lock, &OldIrql);
  ++Reads;
#ifdef BAD
  Irp->IoStatus.Status = Status = STATUS_SUCCESS;
  IoCompleteRequest(Irp, IO_NO_INCREMENT); /* culprit */
  KeReleaseSpinLock(&Lock, OldIrql);
#else
  KeReleaseSpinLock(&Lock, OldIrql);
  Status = Complete(Irp, STATUS_SUCCESS);
#endif
  return Status;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeSpinLock(&Lock);
  return CreateReader(DriverObject, &Device);
}
