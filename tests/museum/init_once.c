/* Whoever needs the buffer first allocates it: the DPC and the thread both find that there is none, both allocate one, and one of the two is
 * forgotten. Idea: https://github.com/freebsd/freebsd-src/pull/1357 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  PVOID volatile Buffer;
  volatile LONG Allocated;
};

static PVOID Allocate(PDEVICE Device) {
  InterlockedIncrement(&Device->Allocated);
  return ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, MUSEUM_TAG);
}

static VOID Free(PDEVICE Device, PVOID Buffer) {
  InterlockedDecrement(&Device->Allocated);
  if (Buffer != NULL) ExFreePoolWithTag(Buffer, MUSEUM_TAG);
}

static VOID NeedBuffer(PDEVICE Device) {
#ifdef FIXED
  if (InterlockedCompareExchangePointer(&Device->Buffer, NULL, NULL) != NULL) return;
  const PVOID Mine = Allocate(Device);
  if (InterlockedCompareExchangePointer(&Device->Buffer, Mine, NULL) != NULL) Free(Device, Mine);
#else
  if (Device->Buffer == NULL) Device->Buffer = Allocate(Device);
#endif
}

static VOID UseInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { NeedBuffer(Context); }

static VOID UseInThread(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 4; ++Round) {
    KeStallExecutionProcessor(80);
    NeedBuffer(Device);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, UseInDpc, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, UseInThread);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  Free(Device, Device->Buffer);
  INVARIANT(Device->Allocated == 0, Device->Allocated, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
