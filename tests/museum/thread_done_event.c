/* The thread sets an event as the last thing it does, removal waits for the event, and the driver is unloaded while the thread is still on its way
 * out of the driver's code. Idea: https://github.com/everdox/InfinityHook/issues/9 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT Work, Ended;
  volatile LONG Stopping;
  ULONG Handled; /* the thread's */
};

static VOID Wake(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeSetEvent(&Device->Work, IO_NO_INCREMENT, FALSE);
}

static VOID Worker(PDEVICE Device) {
  while (!ReadAcquire(&Device->Stopping)) {
    KeWaitForSingleObject(&Device->Work, Executive, KernelMode, FALSE, NULL);
    ++Device->Handled;
  }
  KeSetEvent(&Device->Ended, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeEvent(&Device->Work, SynchronizationEvent, FALSE);
  KeInitializeEvent(&Device->Ended, NotificationEvent, FALSE);
  KeInitializeDpc(&Device->Card.Dpc, Wake, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Worker);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  WriteRelease(&Device->Stopping, TRUE);
  KeSetEvent(&Device->Work, IO_NO_INCREMENT, FALSE);
#ifdef FIXED
  JoinThreads(Device);
#else
  KeWaitForSingleObject(&Device->Ended, Executive, KernelMode, FALSE, NULL);
  ObDereferenceObject(Device->Card.Threads[0].Object);
#endif
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
