/* A KDPC initialised again while it is queued. */
#include "twin.h"

static KDPC Dpc;

static VOID Serve(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeDpc(&Dpc, Serve, NULL);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
#ifdef BAD
  KeInitializeDpc(&Dpc, Serve, &Dpc); /* culprit */
#endif
  KeLowerIrql(OldIrql);
  KeInitializeDpc(&Dpc, Serve, NULL); /* it has run */
  return STATUS_SUCCESS;
}
