/* The DPC says with KePulseEvent that the answer is there. A thread that has looked, and does not wait yet, is not woken, and waits for ever.
 * Idea: https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/nf-ntddk-kepulseevent */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT Answer; /* a SynchronizationEvent */
  volatile LONG Answered;
};

static VOID SayAnswer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  InterlockedExchange(&Device->Answered, TRUE);
#ifdef FIXED
  KeSetEvent(&Device->Answer, IO_NO_INCREMENT, FALSE);
#else
  KePulseEvent(&Device->Answer, IO_NO_INCREMENT, FALSE);
#endif
}

static VOID Ask(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 5; ++Round) {
    RingDoorbell(Device, 60);
    while (!InterlockedExchange(&Device->Answered, FALSE)) KeWaitForSingleObject(&Device->Answer, Executive, KernelMode, FALSE, NULL);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeEvent(&Device->Answer, SynchronizationEvent, FALSE);
  KeInitializeDpc(&Device->Card.Dpc, SayAnswer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
