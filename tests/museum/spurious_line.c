/* The service routine takes every interrupt for its card's and does not look at what the status says: one that was nobody's, or a neighbour's on
 * the same line, counts as a pulse, with the data of the last one. Idea: https://github.com/lwfinger/rtlwifi_new/issues/216 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Seen, Sum;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
#ifdef FIXED
  if (!TakePulse(Device, &Value)) return FALSE;
#else
  const PULONG Registers = Device->Card.Registers;
  WRITE_REGISTER_ULONG(Registers + CARD_STATUS, READ_REGISTER_ULONG(Registers + CARD_STATUS));
  Value = READ_REGISTER_ULONG(Registers + CARD_DATA);
#endif
  ++Device->Seen;
  Device->Sum += Value;
  return TRUE;
}

static NTSTATUS Start(PDEVICE Device) { return ConnectAndEnable(Device, Isr, NULL); }

static VOID Stop(PDEVICE Device) {
  const ULONG Pulses = READ_REGISTER_ULONG(Device->Card.Registers + CARD_COUNT);
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Seen <= Pulses, Device->Seen, Pulses);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
