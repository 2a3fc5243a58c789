/* Removal frees the queue and then waits for the DPCs: one that is queued or running on another processor uses what is gone. Idea:
 * https://github.com/virtio-win/kvm-guest-drivers-windows/pull/1528 */
#include "museum.h"

#define ROOM 8

struct _DEVICE {
  CARD Card;
  PULONG Queue;
  ULONG Next; /* the DPC's */
};

static VOID Fill(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  Device->Queue[Device->Next % ROOM] = Device->Next;
  ++Device->Next;
}

static NTSTATUS Start(PDEVICE Device) {
  Device->Queue = ExAllocatePool2(POOL_FLAG_NON_PAGED, ROOM * sizeof(ULONG), MUSEUM_TAG);
  if (Device->Queue == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  InitializeDpc(&Device->Card.Dpc, Fill, Device, OtherProcessor());
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
#ifdef FIXED
  KeFlushQueuedDpcs();
#endif
  if (Device->Queue != NULL) ExFreePoolWithTag(Device->Queue, MUSEUM_TAG);
  Device->Queue = NULL;
#ifndef FIXED
  KeFlushQueuedDpcs();
#endif
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
