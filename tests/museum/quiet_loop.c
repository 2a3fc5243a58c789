/* A DPC waits until the card has cleared its status, which takes it no time. A card that is pulled out meanwhile reads as all ones: it never does. Idea:
 * https://github.com/rolotrealanis98/open-apollo/issues/22 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
};

static VOID Dpc(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PULONG Registers = ((PDEVICE)Context)->Card.Registers;
  ULONG Status;
  WRITE_REGISTER_ULONG(Registers + CARD_STATUS, CARD_PULSE);
  do {
    Status = READ_REGISTER_ULONG(Registers + CARD_STATUS);
#ifdef FIXED
    if (Status == CARD_GONE) return;
#endif
  } while ((Status & CARD_PULSE) != 0);
}

static NTSTATUS Start(PDEVICE Device) {
  InitializeDpc(&Device->Card.Dpc, Dpc, Device, 0);
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
