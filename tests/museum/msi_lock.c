/* What the message's service routine gives back the sender takes, and only the sender takes the spin lock, as if the routine took it too. Both
 * change Free at once, and descriptors vanish or are there twice. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/103 */
#include "museum.h"

#define DESCRIPTORS 4

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  BOOLEAN InUse[DESCRIPTORS];
  ULONG Free; /* those that are not in use */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context, ULONG Message) {
  const PDEVICE Device = Context;
  ULONG Value, Index;
  if (!TakePulse(Device, &Value)) return FALSE;
  for (Index = 0; Index < DESCRIPTORS; ++Index)
    if (Device->InUse[Index]) {
      Device->InUse[Index] = FALSE;
      ++Device->Free;
      break;
    }
  return TRUE;
}

static KIRQL Lock(PDEVICE Device) {
#ifdef FIXED
  return KeAcquireInterruptSpinLock(Interrupt(Device));
#else
  KIRQL OldIrql;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  return OldIrql;
#endif
}

static VOID Unlock(PDEVICE Device, KIRQL OldIrql) {
#ifdef FIXED
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
#else
  KeReleaseSpinLock(&Device->Lock, OldIrql);
#endif
}

static VOID Send(PDEVICE Device) {
  ULONG Round, Index;
  for (Round = 0; Round < 6; ++Round) {
    const KIRQL OldIrql = Lock(Device);
    for (Index = 0; Device->Free != 0 && Index < DESCRIPTORS; ++Index)
      if (!Device->InUse[Index]) {
        Device->InUse[Index] = TRUE;
        --Device->Free;
        break;
      }
    Unlock(Device, OldIrql);
    RingDoorbell(Device, 70);
    KeStallExecutionProcessor(100);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  Device->Free = DESCRIPTORS;
  const NTSTATUS Status = ConnectMessages(Device, Isr, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  EnableCard(Device);
  return StartThread(Device, Send, 1);
}

static VOID Stop(PDEVICE Device) {
  ULONG Index, Free = 0;
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
  for (Index = 0; Index < DESCRIPTORS; ++Index) Free += !Device->InUse[Index];
  INVARIANT(Device->Free == Free, Device->Free, Free);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
