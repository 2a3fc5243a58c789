/* Two packets handed to one DPC as arguments: the second is lost. */
#include "twin.h"

static KDPC Dpc;
static ULONG Packets[2];
static ULONG *Queue[2];

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
  Queue[0] = &Packets[0];
  KeInsertQueueDpc(&Dpc, BAD_OR_GOOD(&Packets[0], Queue), NULL);
  Queue[1] = &Packets[1];
  KeInsertQueueDpc(&Dpc, BAD_OR_GOOD(&Packets[1], Queue), NULL); /* culprit */
  KeLowerIrql(OldIrql);
  return STATUS_SUCCESS;
}
