/* What was written to the control register is remembered, so that one bit can be changed. The thread changes the light, the DPC unmasks the
 * interrupts, and when they meet the thread writes the mask back, and the card is silent for ever. Idea:
 * https://github.com/zephyrproject-rtos/zephyr/pull/37069 */
#include "museum.h"

#define CARD_LIGHT 0x10 /* which this card does not have, and does not mind */

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  ULONG Control; /* what the register has */
};

static VOID Change(PDEVICE Device, ULONG Set, ULONG Clear) {
  Device->Control = (Device->Control & ~Clear) | Set;
  WRITE_REGISTER_ULONG(Device->Card.Registers + CARD_CONTROL, Device->Control);
}

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  Change(Device, CARD_MASKED, 0); /* until the DPC has run */
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static VOID ChangeFromOutside(PDEVICE Device, ULONG Set, ULONG Clear) {
#ifdef FIXED
  const KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
#endif
  Change(Device, Set, Clear);
#ifdef FIXED
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
#endif
}

static VOID Handle(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { ChangeFromOutside(Context, 0, CARD_MASKED); }

static VOID Blink(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 6; ++Round) {
    KeStallExecutionProcessor(130);
    ChangeFromOutside(Device, Round % 2 == 0 ? CARD_LIGHT : 0, CARD_LIGHT);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Dpc, Handle, Device);
  Device->Control = CARD_ENABLED;
  return ConnectAndEnable(Device, Isr, Blink);
}

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  ChangeFromOutside(Device, 0, CARD_ENABLED); /* so that the DPC does not enable it again */
  QuietCard(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
  INVARIANT((Device->Control & CARD_MASKED) == 0, Device->Control, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
