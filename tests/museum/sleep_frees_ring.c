/* The ring is freed when the system goes to sleep. The card is quiet and disconnected by then, but the DPC of its last interrupt may still be at work on
 * another processor. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/1528 */
#include "museum.h"

#define ROOM 16

struct _DEVICE {
  CARD Card;
  PULONG Ring; /* NULL: the card is asleep */
  ULONG Taken;
};

static VOID Dpc(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  Device->Ring[Device->Taken++ % ROOM] = READ_REGISTER_ULONG(Device->Card.Registers + CARD_DATA);
}

static NTSTATUS Begin(PDEVICE Device) {
  Device->Ring = ExAllocatePool2(POOL_FLAG_NON_PAGED, ROOM * sizeof(ULONG), MUSEUM_TAG);
  return Device->Ring != NULL ? ConnectAndEnable(Device, QueueDpcForPulse, NULL) : STATUS_INSUFFICIENT_RESOURCES;
}

static VOID End(PDEVICE Device, BOOLEAN Waits) {
  if (Device->Ring == NULL) return;
  QuietCard(Device);
  Disconnect(Device);
  if (Waits) KeFlushQueuedDpcs();
  ExFreePoolWithTag(Device->Ring, MUSEUM_TAG);
  Device->Ring = NULL;
}

static VOID Power(PDEVICE Device, BOOLEAN Down) {
#ifdef FIXED
  if (Down) End(Device, TRUE);
#else
  if (Down) End(Device, FALSE);
#endif
  if (!Down && Device->Ring == NULL) Begin(Device);
}

static NTSTATUS Start(PDEVICE Device) {
  InitializeDpc(&Device->Card.Dpc, Dpc, Device, OtherProcessor());
  return Begin(Device);
}

static VOID Stop(PDEVICE Device) { End(Device, TRUE); }

const PARTS Parts = {sizeof(DEVICE), Start, Stop, NULL, Power};
