/* The thread sees to all there is, clears the event and waits. What the DPC brings between the last look and KeClearEvent stays there: its wake-up
 * is cleared, and the thread sleeps beside its work. Idea: https://github.com/rexglue/rexglue-sdk/issues/386 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT Work; /* a NotificationEvent */
  volatile LONG Arrived;
  KSEMAPHORE Handled;
  volatile LONG Stopping;
  LONG Brought; /* the DPC's */
};

static VOID Bring(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Brought;
  InterlockedIncrement(&Device->Arrived);
  KeSetEvent(&Device->Work, IO_NO_INCREMENT, FALSE);
}

static VOID HandleAll(PDEVICE Device) {
  LONG Now;
  while ((Now = InterlockedExchange(&Device->Arrived, 0)) != 0) KeReleaseSemaphore(&Device->Handled, IO_NO_INCREMENT, Now, FALSE);
}

static VOID Worker(PDEVICE Device) {
  do {
    KeWaitForSingleObject(&Device->Work, Executive, KernelMode, FALSE, NULL);
#ifdef FIXED
    KeClearEvent(&Device->Work);
    HandleAll(Device);
#else
    HandleAll(Device);
    KeClearEvent(&Device->Work);
#endif
  } while (!ReadAcquire(&Device->Stopping));
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeEvent(&Device->Work, NotificationEvent, FALSE);
  KeInitializeSemaphore(&Device->Handled, 0, MAXLONG);
  InitializeDpc(&Device->Card.Dpc, Bring, Device, 0);
  return ConnectAndEnable(Device, QueueDpcForPulse, Worker);
}

static VOID Stop(PDEVICE Device) {
  LONG Index;
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  for (Index = 0; Index < Device->Brought; ++Index) KeWaitForSingleObject(&Device->Handled, Executive, KernelMode, FALSE, NULL);
  WriteRelease(&Device->Stopping, TRUE);
  KeSetEvent(&Device->Work, IO_NO_INCREMENT, FALSE);
  JoinThreads(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
