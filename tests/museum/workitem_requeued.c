/* Going down, the driver waits until its work item has nothing to do, and then quiets the card. An interrupt between the two has the DPC queue the item
 * once more, and it is freed while it is queued. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/69 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  PIO_WORKITEM Item;
  volatile LONG Busy; /* what the work item has yet to do; it is queued by the first */
  LONG Done;          /* the work item's */
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
  LONG Now;
  do {
    Now = ReadAcquire(&Device->Busy);
    Device->Done += Now;
  } while (InterlockedAdd(&Device->Busy, -Now) != 0);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  if (InterlockedIncrement(&Device->Busy) == 1) IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
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
#ifndef FIXED
  EVENTUALLY(ReadAcquire(&Device->Busy) == 0);
#endif
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
#ifdef FIXED
  EVENTUALLY(ReadAcquire(&Device->Busy) == 0);
#endif
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
