/* STATUS_PENDING for an IRP that was never marked. */
#include "stack.h"

static KDPC Dpc;

static VOID CompleteLater(PKDPC ThisDpc, PVOID Context, PVOID Irp, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNREFERENCED_PARAMETER(Argument2);
  Complete(Irp, STATUS_SUCCESS);
}

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) { /* culprit */
  if (Device != Lower) return PassDown(Irp);
#ifndef BAD
  IoMarkIrpPending(Irp);
#endif
  KeInsertQueueDpc(&Dpc, Irp, NULL);
  return STATUS_PENDING;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeDpc(&Dpc, CompleteLater, NULL);
  return CreateStack(DriverObject);
}
