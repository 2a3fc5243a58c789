/* Removal holds the mutex of the configuration while it waits for the work item, and the work item needs that mutex. It hangs if there is work at
 * that moment, and else never. Idea: https://github.com/vadimgrn/usbip-win2/pull/188 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  PIO_WORKITEM Item;
  KSEMAPHORE Ended;   /* once for each run of the work item */
  volatile LONG Runs; /* so often it was queued */
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
  KeReleaseSemaphore(&Device->Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  if (InterlockedIncrement(&Device->Busy) != 1) return;
  InterlockedIncrement(&Device->Runs);
  IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  ExInitializeFastMutex(&Device->Mutex);
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
#ifndef FIXED
  ExAcquireFastMutex(&Device->Mutex);
#endif
  WaitForWork(Device);
#ifdef FIXED
  ExAcquireFastMutex(&Device->Mutex);
#endif
  Device->Config = 0;
  ExReleaseFastMutex(&Device->Mutex);
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
