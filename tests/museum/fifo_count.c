/* The DPC takes from the ring with a plain --Count, which the service routine counts up: an interrupt between the DPC's load and its store is
 * forgotten by the store, and what it has put into the ring stays there. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/103 */
#include "museum.h"

#define ROOM 16

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  ULONG Ring[ROOM];
  ULONG Tail, Stored; /* the service routine's */
  ULONG Head, Taken;  /* the DPC's */
  ULONG Count;        /* of those in the ring */
  ULONG Sum;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  if (Device->Count < ROOM) {
    Device->Ring[Device->Tail++ % ROOM] = Value;
    ++Device->Count;
    ++Device->Stored;
  }
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static BOOLEAN TakeOne(PVOID Context) {
  const PDEVICE Device = Context;
  if (Device->Count == 0) return FALSE;
  Device->Sum += Device->Ring[Device->Head++ % ROOM];
  --Device->Count;
  ++Device->Taken;
  return TRUE;
}

static VOID Drain(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  while (KeSynchronizeExecution(Interrupt(Device), TakeOne, Device)) continue;
#else
  while (TakeOne(Device)) continue;
#endif
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Dpc, Drain, Device);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
  INVARIANT(Device->Taken == Device->Stored, Device->Taken, Device->Stored);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
