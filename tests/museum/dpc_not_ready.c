/* The DPC is initialised after the card was enabled: an interrupt that comes at once queues a KDPC that is nothing yet. Idea:
 * https://github.com/virtio-win/kvm-guest-drivers-windows/pull/103 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  ULONG Handled;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID Handle(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Handled;
}

static NTSTATUS Start(PDEVICE Device) {
#ifdef FIXED
  InitializeDpc(&Device->Dpc, Handle, Device, 0);
#endif
  const NTSTATUS Status = ConnectLine(Device, Isr);
  if (!NT_SUCCESS(Status)) return Status;
  EnableCard(Device);
#ifndef FIXED
  InitializeDpc(&Device->Dpc, Handle, Device, 0);
#endif
  return STATUS_SUCCESS;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
