/* The work item does all there is and then says that it is queued no more. What the DPC brings between the two is not queued, as it seems to be already,
 * and stays. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/281 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  PIO_WORKITEM Item;
  volatile LONG Queued;
  volatile LONG Arrived;
  volatile LONG Handled;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID DoAll(PDEVICE Device) { InterlockedAdd(&Device->Handled, InterlockedExchange(&Device->Arrived, 0)); }

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
#ifdef FIXED
  InterlockedExchange(&Device->Queued, FALSE);
  DoAll(Device);
#else
  DoAll(Device);
  InterlockedExchange(&Device->Queued, FALSE);
#endif
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  InterlockedIncrement(&Device->Arrived);
  if (!InterlockedExchange(&Device->Queued, TRUE)) IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
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
  EVENTUALLY(ReadAcquire(&Device->Arrived) == 0);
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
