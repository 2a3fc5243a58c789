/* The DPC says with KePulseEvent that the answer is there. A thread that has looked, and does not wait yet, is not woken, and waits for ever.
 * Idea: https://learn.microsoft.com/windows-hardware/drivers/ddi/ntddk/nf-ntddk-kepulseevent */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  KEVENT Answer; /* a SynchronizationEvent */
  volatile LONG Answered;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

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
  KeInitializeDpc(&Device->Dpc, SayAnswer, Device);
  return ConnectAndEnable(Device, Isr, Ask);
}

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
