/* One thread takes the mutex of the configuration and then that of the queue, the other, woken by the interrupt's DPC, the other way round: when
 * each has its first, both wait for ever. Idea: https://github.com/dokan-dev/dokany/pull/426 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT Work;
  FAST_MUTEX ConfigMutex, QueueMutex;
  ULONG Config, Queued; /* each with its mutex */
  volatile LONG Stopping;
};

static VOID Wake(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeSetEvent(&Device->Work, IO_NO_INCREMENT, FALSE);
}

static VOID Handle(PDEVICE Device) {
  for (;;) {
    KeWaitForSingleObject(&Device->Work, Executive, KernelMode, FALSE, NULL);
    if (ReadAcquire(&Device->Stopping)) return;
#ifdef FIXED
    ExAcquireFastMutex(&Device->ConfigMutex);
    ExAcquireFastMutex(&Device->QueueMutex);
#else
    ExAcquireFastMutex(&Device->QueueMutex);
    ExAcquireFastMutex(&Device->ConfigMutex);
#endif
    Device->Queued += Device->Config;
#ifdef FIXED
    ExReleaseFastMutex(&Device->QueueMutex);
    ExReleaseFastMutex(&Device->ConfigMutex);
#else
    ExReleaseFastMutex(&Device->ConfigMutex);
    ExReleaseFastMutex(&Device->QueueMutex);
#endif
  }
}

static VOID Configure(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 6; ++Round) {
    KeStallExecutionProcessor(130);
    ExAcquireFastMutex(&Device->ConfigMutex);
    ++Device->Config;
    ExAcquireFastMutex(&Device->QueueMutex);
    Device->Queued = 0;
    ExReleaseFastMutex(&Device->QueueMutex);
    ExReleaseFastMutex(&Device->ConfigMutex);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  ExInitializeFastMutex(&Device->ConfigMutex);
  ExInitializeFastMutex(&Device->QueueMutex);
  KeInitializeEvent(&Device->Work, SynchronizationEvent, FALSE);
  KeInitializeDpc(&Device->Card.Dpc, Wake, Device);
  NTSTATUS Status = ConnectAndEnable(Device, QueueDpcForPulse, NULL);
  if (NT_SUCCESS(Status)) Status = StartThread(Device, Handle, 0);
  return NT_SUCCESS(Status) ? StartThread(Device, Configure, 1) : Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  WriteRelease(&Device->Stopping, TRUE);
  KeSetEvent(&Device->Work, IO_NO_INCREMENT, FALSE);
  JoinThreads(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
