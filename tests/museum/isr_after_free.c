/* Removal frees the ring, quiets the card and disconnects, in this order: an interrupt in between is served with a ring that is gone. Idea:
 * https://github.com/virtio-win/kvm-guest-drivers-windows/pull/1528 */
#include "museum.h"

#define ROOM 8

struct _DEVICE {
  CARD Card;
  PULONG Ring;
  ULONG Next; /* the service routine's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  Device->Ring[Device->Next++ % ROOM] = Value;
  return TRUE;
}

static NTSTATUS Start(PDEVICE Device) {
  Device->Ring = ExAllocatePool2(POOL_FLAG_NON_PAGED, ROOM * sizeof(ULONG), MUSEUM_TAG);
  if (Device->Ring == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID FreeRing(PDEVICE Device) {
  if (Device->Ring != NULL) ExFreePoolWithTag(Device->Ring, MUSEUM_TAG);
  Device->Ring = NULL;
}

static VOID Stop(PDEVICE Device) {
#ifndef FIXED
  FreeRing(Device);
#endif
  QuietCard(Device);
  Disconnect(Device);
#ifdef FIXED
  FreeRing(Device);
#endif
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
