/* Two DPCs of one processor cannot interrupt each other, so they share Count without a lock; but one of them was made a threaded DPC since, which
 * runs at PASSIVE_LEVEL, and the other interrupts it. Idea: https://github.com/openzfsonwindows/ZFSin/pull/221 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc, ThreadedDpc;
  KSPIN_LOCK Lock;
  ULONG Count;
  ULONG InDpc, InThreadedDpc; /* each its own */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  KeInsertQueueDpc(&Device->ThreadedDpc, NULL, NULL);
  return TRUE;
}

static VOID Handle(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
#endif
  ++Device->Count;
  ++Device->InDpc;
#ifdef FIXED
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#endif
}

static VOID HandleInThread(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  const KIRQL OldIrql = KeAcquireSpinLockForDpc(&Device->Lock);
#endif
  ++Device->Count;
  ++Device->InThreadedDpc;
#ifdef FIXED
  KeReleaseSpinLockForDpc(&Device->Lock, OldIrql);
#endif
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  InitializeDpc(&Device->Dpc, Handle, Device, 0);
  KeInitializeThreadedDpc(&Device->ThreadedDpc, HandleInThread, Device);
  KeSetTargetProcessorDpc(&Device->ThreadedDpc, 0);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  INVARIANT(Device->Count == Device->InDpc + Device->InThreadedDpc, Device->Count, Device->InDpc + Device->InThreadedDpc);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
