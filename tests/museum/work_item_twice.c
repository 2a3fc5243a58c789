/* The DPC queues the work item for every interrupt. When a second one comes before the worker thread has begun with the first, the item is queued
 * while it is queued. Idea: https://github.com/cheat-engine/cheat-engine/issues/1237 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  WORK Work;
  volatile LONG Queued;
  volatile LONG Arrived;
};

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
  InterlockedExchange(&Device->Queued, FALSE);
  InterlockedExchange(&Device->Arrived, 0);
  KeReleaseSemaphore(&Device->Work.Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  InterlockedIncrement(&Device->Arrived);
#ifdef FIXED
  if (InterlockedExchange(&Device->Queued, TRUE)) return;
#else
  InterlockedExchange(&Device->Queued, TRUE);
#endif
  InterlockedIncrement(&Device->Work.Runs);
  IoQueueWorkItem(Device->Work.Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, QueueWork, Device);
  const NTSTATUS Status = AllocateWork(Device, &Device->Work);
  return NT_SUCCESS(Status) ? ConnectAndEnable(Device, QueueDpcForPulse, NULL) : Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  WaitForWork(&Device->Work);
  if (Device->Work.Item != NULL) IoFreeWorkItem(Device->Work.Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
