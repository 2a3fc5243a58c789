/* A dispatch routine that returns with a raised IRQL. */
#include "reader.h"

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(Device);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
#ifndef BAD
  KeLowerIrql(OldIrql);
#endif
  Irp->IoStatus.Status = STATUS_SUCCESS;
  Irp->IoStatus.Information = 0;
  IoCompleteRequest(Irp, IO_NO_INCREMENT); /* culprit */
  return STATUS_SUCCESS;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateReader(DriverObject, &Device);
}
