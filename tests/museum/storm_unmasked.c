/* The service routine takes a pulse and leaves the card as it is. In a storm the next pulse is there before it returns: it is called again at once, and
 * nothing else runs, until the kernel gives up. Idea: https://www.kernel.org/doc/html/latest/networking/napi.html */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Seen; /* with the interrupt's lock */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  ++Device->Seen;
#ifdef FIXED
  MaskCard(Device); /* until the DPC has run, and others with it */
#endif
  KeInsertQueueDpc(&Device->Card.Dpc, NULL, NULL);
  return TRUE;
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, UnmaskCard, Device);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietForGood(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
