/* A work item is queued by each of two DPCs that run before it does. */
#include "twin.h"

static WORK_QUEUE_ITEM Item;
static LONG Queued;

static VOID Work(PVOID Context) {
  UNREFERENCED_PARAMETER(Context);
  InterlockedExchange(&Queued, 0);
}

static VOID QueueIt(VOID) {
#ifndef BAD
  if (InterlockedExchange(&Queued, 1) != 0) return;
#endif
  ExQueueWorkItem(&Item, DelayedWorkQueue); /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  ExInitializeWorkItem(&Item, Work, NULL);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  QueueIt();
  QueueIt();
  KeLowerIrql(OldIrql);
  Sleep(10);
  return STATUS_SUCCESS;
}
