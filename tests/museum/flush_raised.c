/* A correction that brought a new mistake: removal takes the lock to see whether a DPC is under way, and if so, waits for it with the lock still
 * held. Nearly always none is. Idea: https://github.com/MicrosoftDocs/windows-driver-docs-ddi/issues/615 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  KSPIN_LOCK Lock;
  volatile LONG Busy; /* the DPC is queued, or runs */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  InterlockedExchange(&Device->Busy, TRUE);
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID Handle(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  InterlockedExchange(&Device->Busy, FALSE);
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeDpc(&Device->Dpc, Handle, Device);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
#ifdef FIXED
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
#else
  KIRQL OldIrql;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  QuietCard(Device);
  if (InterlockedOr(&Device->Busy, 0)) KeFlushQueuedDpcs();
  KeReleaseSpinLock(&Device->Lock, OldIrql);
  Disconnect(Device);
  KeFlushQueuedDpcs(); /* for those that came since */
#endif
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
