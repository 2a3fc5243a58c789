/* A one-shot timer sets itself again in its DPC, unless the device is stopping. The DPC has looked, removal says Stopping and cancels a timer that
 * is not set, and then the DPC sets it: it will expire in a device that is gone. Idea: https://github.com/openzfsonwindows/openzfs/pull/93 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KTIMER Timer;
  KDPC Dpc;
  KSPIN_LOCK Lock;
  volatile LONG Stopping;
  ULONG Ticks; /* the DPC's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  ULONG Value;
  return TakePulse(Context, &Value);
}

static VOID SetTimer(PDEVICE Device) { KeSetTimer(&Device->Timer, After(1), &Device->Dpc); }

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Ticks;
#ifdef FIXED
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
#endif
  if (!ReadAcquire(&Device->Stopping)) SetTimer(Device);
#ifdef FIXED
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#endif
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeTimer(&Device->Timer);
  InitializeDpc(&Device->Dpc, Tick, Device, OtherProcessor());
  const NTSTATUS Status = ConnectAndEnable(Device, Isr, NULL);
  if (NT_SUCCESS(Status)) SetTimer(Device);
  return Status;
}

static VOID Stop(PDEVICE Device) {
#ifdef FIXED
  KIRQL OldIrql;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
#endif
  WriteRelease(&Device->Stopping, TRUE);
#ifdef FIXED
  KeReleaseSpinLock(&Device->Lock, OldIrql);
#endif
  KeCancelTimer(&Device->Timer);
  KeFlushQueuedDpcs();
  QuietCard(Device);
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
