/* The semaphore says that there is work, and one is enough to say it, so its limit is one. A second interrupt before the thread has woken releases
 * it beyond its limit, which raises an exception in the DPC. Idea:
 * https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-kereleasesemaphore */
#include "museum.h"

#ifdef FIXED
#define LIMIT MAXLONG
#else
#define LIMIT 1
#endif

struct _DEVICE {
  CARD Card;
  KSEMAPHORE Work;
  volatile LONG Stopping;
  ULONG Handled; /* the thread's */
};

static VOID Wake(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeReleaseSemaphore(&Device->Work, IO_NO_INCREMENT, 1, FALSE);
}

static VOID Worker(PDEVICE Device) {
  while (!ReadAcquire(&Device->Stopping)) {
    KeWaitForSingleObject(&Device->Work, Executive, KernelMode, FALSE, NULL);
    ++Device->Handled;
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSemaphore(&Device->Work, 0, LIMIT);
  KeInitializeDpc(&Device->Card.Dpc, Wake, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Worker);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  WriteRelease(&Device->Stopping, TRUE);
  KeReleaseSemaphore(&Device->Work, IO_NO_INCREMENT, 1, FALSE);
  JoinThreads(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
