/* Memory with a queued work item is freed. */
#include "twin.h"

static LONG Ran;

static VOID Work(PVOID Context) {
  UNREFERENCED_PARAMETER(Context);
  InterlockedExchange(&Ran, 1);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  PWORK_QUEUE_ITEM Item;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Item = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Item, 'metI');
  if (Item == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  ExInitializeWorkItem(Item, Work, NULL);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  ExQueueWorkItem(Item, DelayedWorkQueue);
#ifdef BAD
  ExFreePoolWithTag(Item, 'metI'); /* culprit */
  KeLowerIrql(OldIrql);
#else
  KeLowerIrql(OldIrql);
  while (Ran == 0) Sleep(10);
  ExFreePoolWithTag(Item, 'metI');
#endif
  return STATUS_SUCCESS;
}
