/* The service routine takes the device's spin lock, and so does the thread, at DISPATCH_LEVEL: an interrupt on its processor while it holds the
 * lock waits for it there for ever. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/1293 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  ULONG Count;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
#ifdef FIXED
  ++Device->Count;
#else
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  ++Device->Count;
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#endif
  return TRUE;
}

static VOID Reset(PDEVICE Device) {
  ULONG Round;
  KIRQL OldIrql;
  for (Round = 0; Round < 6; ++Round) {
    KeStallExecutionProcessor(130);
#ifdef FIXED
    OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
    Device->Count = 0;
    KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
#else
    KeAcquireSpinLock(&Device->Lock, &OldIrql);
    Device->Count = 0;
    KeReleaseSpinLock(&Device->Lock, OldIrql);
#endif
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  return ConnectAndEnable(Device, Isr, Reset);
}

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
