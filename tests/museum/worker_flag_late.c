/* The work item does all there is and then says that it is queued no more. What the DPC brings between the two is not queued, as it seems to be
 * already, and stays. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/281 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  PIO_WORKITEM Item;
  KSEMAPHORE Ended;   /* once for each run of the work item */
  volatile LONG Runs; /* so often it was queued */
  volatile LONG Queued;
  volatile LONG Arrived;
  KSEMAPHORE Handled; /* once for each that has arrived */
  LONG Brought;       /* the DPC's */
};

static VOID DoAll(PDEVICE Device) {
  const LONG Now = InterlockedExchange(&Device->Arrived, 0);
  if (Now != 0) KeReleaseSemaphore(&Device->Handled, IO_NO_INCREMENT, Now, FALSE);
}

static VOID Work(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  const PDEVICE Device = Context;
#ifdef FIXED
  InterlockedExchange(&Device->Queued, FALSE);
  DoAll(Device);
#else
  DoAll(Device);
  InterlockedExchange(&Device->Queued, FALSE);
#endif
  KeReleaseSemaphore(&Device->Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Brought;
  InterlockedIncrement(&Device->Arrived);
  if (InterlockedExchange(&Device->Queued, TRUE)) return;
  InterlockedIncrement(&Device->Runs);
  IoQueueWorkItem(Device->Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSemaphore(&Device->Ended, 0, MAXLONG);
  KeInitializeSemaphore(&Device->Handled, 0, MAXLONG);
  InitializeDpc(&Device->Card.Dpc, QueueWork, Device, 0);
  Device->Item = IoAllocateWorkItem(Device->Card.Self);
  if (Device->Item == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

static VOID Stop(PDEVICE Device) {
  LONG Index;
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  for (Index = 0; Index < Device->Brought; ++Index) KeWaitForSingleObject(&Device->Handled, Executive, KernelMode, FALSE, NULL);
  for (Index = 0; Index < Device->Runs; ++Index) KeWaitForSingleObject(&Device->Ended, Executive, KernelMode, FALSE, NULL);
  if (Device->Item != NULL) IoFreeWorkItem(Device->Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
