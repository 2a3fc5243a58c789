/* The service routine goes on as long as there is a pulse, and in a storm there always is one. Its twin takes a few, then masks the card and comes back when
 * others have had their turn. Idea: https://www.kernel.org/doc/html/latest/networking/napi.html */
#include "museum.h"

#define MOST_AT_ONCE 8

struct _DEVICE {
  CARD Card;
  KTIMER Timer;
  KDPC TimerDpc;
  ULONG Sum; /* with the interrupt's lock */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value, Count = 0;
  while (TakePulse(Device, &Value)) {
    Device->Sum += Value;
    ++Count;
#ifdef FIXED
    if (Count == MOST_AT_ONCE) {
      MaskCard(Device);
      KeInsertQueueDpc(&Device->Card.Dpc, NULL, NULL);
      break;
    }
#endif
  }
  return Count != 0;
}

static VOID Wait(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeSetTimer(&Device->Timer, After(1), &Device->TimerDpc);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeTimer(&Device->Timer);
  KeInitializeDpc(&Device->TimerDpc, UnmaskCard, Device);
  KeInitializeDpc(&Device->Card.Dpc, Wait, Device);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietForGood(Device);
  KeFlushQueuedDpcs(); /* who sets the timer has set it */
  KeCancelTimer(&Device->Timer);
  KeFlushQueuedDpcs(); /* and its DPC, which uses the interrupt object, has run */
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
