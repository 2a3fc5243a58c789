/* The DPC clears the flag after it has looked at what the flag announces. A second interrupt between the two sets it again, the first DPC clears
 * it, and the second DPC finds nothing to do: what came last is never seen. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/281 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  volatile LONG Reported; /* there is something new */
  volatile LONG Latest;   /* it */
  LONG Known;             /* the DPC's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  InterlockedExchange(&Device->Latest, (LONG)Value);
  InterlockedExchange(&Device->Reported, TRUE);
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID Look(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  if (InterlockedExchange(&Device->Reported, FALSE)) Device->Known = InterlockedOr(&Device->Latest, 0);
#else
  if (InterlockedOr(&Device->Reported, 0)) {
    Device->Known = InterlockedOr(&Device->Latest, 0);
    InterlockedExchange(&Device->Reported, FALSE);
  }
#endif
}

static NTSTATUS Start(PDEVICE Device) {
  InitializeDpc(&Device->Dpc, Look, Device, 0);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  INVARIANT(Device->Known == Device->Latest, Device->Known, Device->Latest);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
