/* Removal holds the mutex of the configuration while it waits for the work item, and the work item needs that mutex. It hangs if there is work at that
 * moment, and else never. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/69 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  PIO_WORKITEM Item;
  FAST_MUTEX Mutex;
  ULONG Config;       /* with the mutex */
  volatile LONG Busy; /* what the work item has yet to do; it is queued by the first */
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
    ExAcquireFastMutex(&Device->Mutex);
    ++Device->Config;
    ExReleaseFastMutex(&Device->Mutex);
  } while (InterlockedAdd(&Device->Busy, -Now) != 0);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  if (InterlockedIncrement(&Device->Busy) == 1) IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  ExInitializeFastMutex(&Device->Mutex);
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
#ifndef FIXED
  ExAcquireFastMutex(&Device->Mutex);
#endif
  EVENTUALLY(ReadAcquire(&Device->Busy) == 0);
#ifdef FIXED
  ExAcquireFastMutex(&Device->Mutex);
#endif
  Device->Config = 0;
  ExReleaseFastMutex(&Device->Mutex);
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
