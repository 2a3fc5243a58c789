/* The same DPC runs on two processors at once: queued by the interrupt here and by a thread there, since a KDPC leaves its queue before its
 * routine runs. Both runs add to Handled, and one sum is lost. Idea: https://github.com/MicrosoftDocs/windows-driver-docs-ddi/issues/489 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  KSPIN_LOCK Lock;
  volatile LONG Arrived; /* and not yet handled */
  ULONG Seen;            /* the service routine's */
  ULONG Handled;         /* the DPC's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  ++Device->Seen;
  InterlockedIncrement(&Device->Arrived);
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID Handle(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  const LONG More = InterlockedExchange(&Device->Arrived, 0);
#ifdef FIXED
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
#endif
  Device->Handled += More;
#ifdef FIXED
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#endif
}

/* Looks after the device, should an interrupt be missed. */
static VOID Poll(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 8; ++Round) {
    KeStallExecutionProcessor(130);
    KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeDpc(&Device->Dpc, Handle, Device);
  return ConnectAndEnable(Device, Isr, Poll);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  JoinThreads(Device);
  KeFlushQueuedDpcs();
  INVARIANT(Device->Handled == Device->Seen, Device->Handled, Device->Seen);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
