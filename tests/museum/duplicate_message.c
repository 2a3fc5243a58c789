/* A message is the device's in any case, so the service routine does not look whether there was a pulse. A message that
 * comes a second time has it take the same value again. Idea: https://github.com/Meulengracht/MollenOS/issues/245 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Last, Twice; /* the service routine's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context, ULONG Message) {
  const PDEVICE Device = Context;
  ULONG Value;
#ifdef FIXED
  if (!TakePulse(Device, &Value)) return TRUE; /* nobody else can have sent it */
#else
  Value = READ_REGISTER_ULONG(Device->Card.Registers + CARD_DATA);
  WRITE_REGISTER_ULONG(Device->Card.Registers + CARD_STATUS, CARD_PULSE);
#endif
  if (Value == Device->Last) ++Device->Twice;
  Device->Last = Value;
  return TRUE;
}

static NTSTATUS Start(PDEVICE Device) {
  const NTSTATUS Status = ConnectMessages(Device, Isr, NULL);
  if (NT_SUCCESS(Status)) EnableCard(Device);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Twice == 0, Device->Twice, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
