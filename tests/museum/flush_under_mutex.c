/* Removal holds the mutex of the configuration while it waits for the work item, and the work item needs that mutex. It hangs if there is work at
 * that moment, and else never. Idea: https://github.com/vadimgrn/usbip-win2/pull/188 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  WORK Work;
  volatile LONG Busy; /* what it has yet to do; it is queued for the first */
  FAST_MUTEX Mutex;
  ULONG Config; /* with the mutex */
};

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
  LONG Now;
  do {
    Now = ReadAcquire(&Device->Busy);
    ExAcquireFastMutex(&Device->Mutex);
    ++Device->Config;
    ExReleaseFastMutex(&Device->Mutex);
  } while (InterlockedAdd(&Device->Busy, -Now) != 0);
  KeReleaseSemaphore(&Device->Work.Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  if (InterlockedIncrement(&Device->Busy) != 1) return;
  InterlockedIncrement(&Device->Work.Runs);
  IoQueueWorkItem(Device->Work.Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  ExInitializeFastMutex(&Device->Mutex);
  KeInitializeDpc(&Device->Card.Dpc, QueueWork, Device);
  const NTSTATUS Status = AllocateWork(Device, &Device->Work);
  return NT_SUCCESS(Status) ? ConnectAndEnable(Device, QueueDpcForPulse, NULL) : Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
#ifndef FIXED
  ExAcquireFastMutex(&Device->Mutex);
#endif
  WaitForWork(&Device->Work);
#ifdef FIXED
  ExAcquireFastMutex(&Device->Mutex);
#endif
  Device->Config = 0;
  ExReleaseFastMutex(&Device->Mutex);
  if (Device->Work.Item != NULL) IoFreeWorkItem(Device->Work.Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
