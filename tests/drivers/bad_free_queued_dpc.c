/* Frees the memory of a KDPC that is still queued: at DISPATCH_LEVEL it cannot have run yet. */
#include <wdm.h>

static VOID Run(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PKDPC Dpc = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(KDPC), 'cpdB');
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  if (Dpc == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeDpc(Dpc, Run, NULL);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  KeInsertQueueDpc(Dpc, NULL, NULL);
  ExFreePoolWithTag(Dpc, 'cpdB'); /* culprit */
  KeLowerIrql(OldIrql);
  return STATUS_SUCCESS;
}
