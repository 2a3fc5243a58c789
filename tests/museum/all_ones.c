/* A card that has gone reads as all ones, which to the service routine is a pulse like others; what it reads next is an index far beyond its
 * table. Idea: https://github.com/lwfinger/rtlwifi_new/issues/216 */
#include "museum.h"

#define ROOM 64

struct _DEVICE {
  CARD Card;
  ULONG Table[ROOM]; /* by the number of the pulse; the scenario has not so many */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  const PULONG Registers = Device->Card.Registers;
  const ULONG Status = READ_REGISTER_ULONG(Registers + CARD_STATUS);
#ifdef FIXED
  if (Status == CARD_GONE) return FALSE;
#endif
  if ((Status & CARD_PULSE) == 0) return FALSE;
  const ULONG Number = READ_REGISTER_ULONG(Registers + CARD_COUNT);
#ifdef FIXED
  if (Number < ROOM) /* it may go at any time */
#endif
    Device->Table[Number] = READ_REGISTER_ULONG(Registers + CARD_DATA);
  WRITE_REGISTER_ULONG(Registers + CARD_STATUS, CARD_PULSE);
  return TRUE;
}

static NTSTATUS Start(PDEVICE Device) { return ConnectAndEnable(Device, Isr, NULL); }

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
