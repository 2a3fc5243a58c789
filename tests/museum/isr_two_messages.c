/* One service routine for two messages, and each message has an interrupt lock of its own: on two processors the routine runs twice at once. Both
 * count in Total, and one is lost. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/pull/1293 */
#include "museum.h"

#define MESSAGES 2

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  ULONG Of[MESSAGES];
  ULONG Total;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context, ULONG Message) {
  const PDEVICE Device = Context;
  ULONG Value;
  TakePulse(Device, &Value); /* a message is the device's in any case */
  ++Device->Of[Message % MESSAGES];
  ++Device->Total;
  return TRUE;
}

static NTSTATUS Start(PDEVICE Device) {
  PKSPIN_LOCK Shared = NULL;
  KeInitializeSpinLock(&Device->Lock);
#ifdef FIXED
  Shared = &Device->Lock;
#endif
  const NTSTATUS Status = ConnectMessages(Device, Isr, Shared);
  if (NT_SUCCESS(Status)) EnableCard(Device);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Total == Device->Of[0] + Device->Of[1], Device->Total, Device->Of[0] + Device->Of[1]);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
