/* The ring is made empty after the card was enabled. If the first interrupt comes before that, what it has stored is wiped away. Idea:
 * https://github.com/virtio-win/kvm-guest-drivers-windows/pull/1293 */
#include "museum.h"

#define ROOM 16

struct _DEVICE {
  CARD Card;
  ULONG Ring[ROOM];
  ULONG Count;
  ULONG Stored; /* the service routine's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  if (Device->Count == ROOM) return TRUE;
  Device->Ring[Device->Count++] = Value;
  ++Device->Stored;
  return TRUE;
}

static VOID EmptyRing(PDEVICE Device) {
  RtlZeroMemory(Device->Ring, sizeof(Device->Ring));
  Device->Count = 0;
}

static NTSTATUS Start(PDEVICE Device) {
#ifdef FIXED
  EmptyRing(Device);
#endif
  const NTSTATUS Status = ConnectLine(Device, Isr);
  if (!NT_SUCCESS(Status)) return Status;
  EnableCard(Device);
#ifndef FIXED
  EmptyRing(Device);
#endif
  return STATUS_SUCCESS;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Count == Device->Stored, Device->Count, Device->Stored);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
