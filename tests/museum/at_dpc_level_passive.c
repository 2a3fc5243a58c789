/* Drain is made for the DPC and takes the lock as one does at DISPATCH_LEVEL. Removal calls it too, at PASSIVE_LEVEL, if the DPC has left
 * something, which it hardly ever has. Idea: https://github.com/intel/haxm/pull/48 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  KSPIN_LOCK Lock;
  volatile LONG Waiting;
  LONG Handled; /* with the lock */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  InterlockedIncrement(&Device->Waiting);
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID Drain(PDEVICE Device) {
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  Device->Handled += InterlockedExchange(&Device->Waiting, 0);
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
}

static VOID DrainInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { Drain(Context); }

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  InitializeDpc(&Device->Dpc, DrainInDpc, Device, OtherProcessor());
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  if (ReadAcquire(&Device->Waiting) != 0) {
#ifdef FIXED
    KIRQL OldIrql;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    Drain(Device);
    KeLowerIrql(OldIrql);
#else
    Drain(Device);
#endif
  }
  KeFlushQueuedDpcs();
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
