/* Receiving and sending have locks of their own, and both change Used, how much of the common pool is taken. A DPC that receives while a thread
 * sends loses one of the two changes. Idea: https://github.com/Microsemi/switchtec-dma/issues/4 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK ReceiveLock, SendLock;
  ULONG Used;
  ULONG Received; /* ReceiveLock */
  ULONG Sent;     /* SendLock */
};

static VOID Receive(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeAcquireSpinLockAtDpcLevel(&Device->ReceiveLock);
  ++Device->Received;
  ++Device->Used;
  KeReleaseSpinLockFromDpcLevel(&Device->ReceiveLock);
}

static VOID Send(PDEVICE Device) {
#ifdef FIXED
  const PKSPIN_LOCK Lock = &Device->ReceiveLock;
#else
  const PKSPIN_LOCK Lock = &Device->SendLock;
#endif
  ULONG Round;
  KIRQL OldIrql;
  for (Round = 0; Round < 10; ++Round) {
    KeAcquireSpinLock(Lock, &OldIrql);
    ++Device->Sent;
    ++Device->Used;
    KeReleaseSpinLock(Lock, OldIrql);
    KeStallExecutionProcessor(90);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->ReceiveLock);
  KeInitializeSpinLock(&Device->SendLock);
  KeInitializeDpc(&Device->Card.Dpc, Receive, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Send);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  INVARIANT(Device->Used == Device->Received + Device->Sent, Device->Used, Device->Received + Device->Sent);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
