/* The service routine takes a pulse and leaves the card as it is. In a storm the next pulse is there before it returns: it is called again at once, and
 * nothing else runs, until the kernel gives up. Idea: https://www.kernel.org/doc/html/latest/networking/napi.html */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Seen;      /* with the interrupt's lock, as the next */
  BOOLEAN Stopped; /* the card is to stay quiet */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  ++Device->Seen;
#ifdef FIXED
  WRITE_REGISTER_ULONG(Device->Card.Registers + CARD_CONTROL, CARD_ENABLED | CARD_MASKED); /* until the DPC has run, and others with it */
#endif
  KeInsertQueueDpc(&Device->Card.Dpc, NULL, NULL);
  return TRUE;
}

static VOID Unmask(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  const KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
  if (!Device->Stopped) EnableCard(Device);
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, Unmask, Device);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  const KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
  Device->Stopped = TRUE;
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
  QuietCard(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
