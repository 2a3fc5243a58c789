/* Going down, the driver waits for the end of every run of its work item, and then quiets the card. An interrupt between the two has the DPC queue
 * the item once more, and it is freed while it is queued. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/69 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  WORK Work;
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
  KeReleaseSemaphore(&Device->Work.Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  if (InterlockedIncrement(&Device->Busy) != 1) return;
  InterlockedIncrement(&Device->Work.Runs);
  IoQueueWorkItem(Device->Work.Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, QueueWork, Device);
  const NTSTATUS Status = AllocateWork(Device, &Device->Work);
  return NT_SUCCESS(Status) ? ConnectAndEnable(Device, QueueDpcForPulse, NULL) : Status;
}

static VOID Stop(PDEVICE Device) {
#ifndef FIXED
  WaitForWork(&Device->Work);
#endif
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
#ifdef FIXED
  WaitForWork(&Device->Work);
#endif
  if (Device->Work.Item != NULL) IoFreeWorkItem(Device->Work.Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
