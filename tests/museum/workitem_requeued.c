/* Going down, the driver waits for the end of every run of its work item, and then quiets the card. An interrupt between the two has the DPC queue
 * the item once more, and it is freed while it is queued. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/69 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  PIO_WORKITEM Item;
  KSEMAPHORE Ended;   /* once for each run of the work item */
  volatile LONG Runs; /* so often it was queued */
  volatile LONG Busy; /* what it has yet to do; it is queued for the first */
  LONG Done;          /* the work item's */
};

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
  LONG Now;
  do {
    Now = ReadAcquire(&Device->Busy);
    Device->Done += Now;
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
#ifndef FIXED
  WaitForWork(Device);
#endif
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
#ifdef FIXED
  WaitForWork(Device);
#endif
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
