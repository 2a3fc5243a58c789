/* The DPC queues the work item for every interrupt. When a second one comes before the worker thread has begun with the first, the item is queued
 * while it is queued. Idea: https://github.com/cheat-engine/cheat-engine/issues/1237 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  PIO_WORKITEM Item;
  KSEMAPHORE Ended;   /* once for each run of the work item */
  volatile LONG Runs; /* so often it was queued */
  volatile LONG Queued;
  volatile LONG Arrived;
};

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
  InterlockedExchange(&Device->Queued, FALSE);
  InterlockedExchange(&Device->Arrived, 0);
  KeReleaseSemaphore(&Device->Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  InterlockedIncrement(&Device->Arrived);
#ifdef FIXED
  if (InterlockedExchange(&Device->Queued, TRUE)) return;
#else
  InterlockedExchange(&Device->Queued, TRUE);
#endif
  InterlockedIncrement(&Device->Runs);
  IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSemaphore(&Device->Ended, 0, MAXLONG);
  KeInitializeDpc(&Device->Card.Dpc, QueueWork, Device);
  Device->Item = IoAllocateWorkItem(Device->Card.Self);
  if (Device->Item == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

static VOID WaitForWork(PDEVICE Device) {
  LONG Index;
  for (Index = 0; Index < ReadAcquire(&Device->Runs); ++Index) KeWaitForSingleObject(&Device->Ended, Executive, KernelMode, FALSE, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  WaitForWork(Device);
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
