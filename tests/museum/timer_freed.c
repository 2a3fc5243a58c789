/* A timer is cancelled and freed with what its DPC uses. KeCancelTimer does not wait: the DPC may be queued or running on another processor, and
 * then works in freed memory. Idea: https://github.com/microsoft/ebpf-for-windows/issues/849 */
#include "museum.h"

typedef struct _WATCH {
  KTIMER Timer;
  KDPC Dpc;
  ULONG Ticks, Pulses;
} WATCH, *PWATCH;

struct _DEVICE {
  CARD Card;
  PWATCH Watch;
  volatile LONG Pulses;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  InterlockedIncrement(&Device->Pulses);
  return TRUE;
}

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Watch->Ticks;
  Device->Watch->Pulses = (ULONG)ReadAcquire(&Device->Pulses);
}

static NTSTATUS Start(PDEVICE Device) {
  const PWATCH Watch = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Watch), MUSEUM_TAG);
  if (Watch == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeTimer(&Watch->Timer);
  InitializeDpc(&Watch->Dpc, Tick, Device, OtherProcessor());
  Device->Watch = Watch;
  const NTSTATUS Status = ConnectAndEnable(Device, Isr, NULL);
  if (NT_SUCCESS(Status)) KeSetTimerEx(&Watch->Timer, After(1), 10, &Watch->Dpc);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  if (Device->Watch == NULL) return;
  KeCancelTimer(&Device->Watch->Timer);
#ifdef FIXED
  KeFlushQueuedDpcs();
#endif
  ExFreePoolWithTag(Device->Watch, MUSEUM_TAG);
  Device->Watch = NULL;
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
