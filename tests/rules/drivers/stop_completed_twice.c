/* An IRP completed by the dispatch routine and by a DPC. */
#include "reader.h"

static KDPC Dpc;

static VOID CompleteToo(PKDPC ThisDpc, PVOID Context, PVOID Irp, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNREFERENCED_PARAMETER(Argument2);
  IoCompleteRequest((PIRP)Irp, IO_NO_INCREMENT); /* culprit */
}

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(Device);
  IoMarkIrpPending(Irp);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  Irp->IoStatus.Status = STATUS_SUCCESS;
  Irp->IoStatus.Information = 0;
  KeInsertQueueDpc(&Dpc, Irp, NULL);
#ifdef BAD
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
#endif
  KeLowerIrql(OldIrql);
  return STATUS_PENDING;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeDpc(&Dpc, CompleteToo, NULL);
  return CreateReader(DriverObject, &Device);
}
