/* The work item does all there is and then says that it is queued no more. What the DPC brings between the two is not queued, as it seems to be
 * already, and stays. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/281 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  WORK Work;
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
  KeReleaseSemaphore(&Device->Work.Ended, IO_NO_INCREMENT, 1, FALSE);
}

static VOID QueueWork(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Brought;
  InterlockedIncrement(&Device->Arrived);
  if (InterlockedExchange(&Device->Queued, TRUE)) return;
  InterlockedIncrement(&Device->Work.Runs);
  IoQueueWorkItem(Device->Work.Item, Work, DelayedWorkQueue, Device);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSemaphore(&Device->Handled, 0, MAXLONG);
  InitializeDpc(&Device->Card.Dpc, QueueWork, Device, 0);
  const NTSTATUS Status = AllocateWork(Device, &Device->Work);
  return NT_SUCCESS(Status) ? ConnectAndEnable(Device, QueueDpcForPulse, NULL) : Status;
}

static VOID Stop(PDEVICE Device) {
  LONG Index;
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  for (Index = 0; Index < Device->Brought; ++Index) KeWaitForSingleObject(&Device->Handled, Executive, KernelMode, FALSE, NULL);
  WaitForWork(&Device->Work);
  if (Device->Work.Item != NULL) IoFreeWorkItem(Device->Work.Item);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
