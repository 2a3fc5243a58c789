/* The DPC queues the work item for every interrupt. When a second one comes before the worker thread has begun with the first, the item is queued while it
 * is queued. Idea: https://github.com/cheat-engine/cheat-engine/issues/1237 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  PIO_WORKITEM Item;
  volatile LONG Queued;
  volatile LONG Arrived;
  LONG Handled; /* the work item's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
  InterlockedExchange(&Device->Queued, FALSE);
  InterlockedExchange(&Device->Arrived, 0);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  InterlockedIncrement(&Device->Arrived);
#ifdef FIXED
  if (InterlockedExchange(&Device->Queued, TRUE)) return;
#else
  InterlockedExchange(&Device->Queued, TRUE);
#endif
  IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Dpc, QueueWork, Device);
  Device->Item = IoAllocateWorkItem(Device->Card.Self);
  if (Device->Item == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  const NTSTATUS Status = ConnectLine(Device, Isr);
  if (NT_SUCCESS(Status)) EnableCard(Device);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  EVENTUALLY(!ReadAcquire(&Device->Queued));
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
