/* What is to be put back at removal is not, if the card no longer answers: there is nothing to be put back in it. The timer is none of the card's, and
 * expires in memory that is freed. Idea: https://github.com/open-vela/frameworks_bluetooth/pull/255 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KTIMER Timer;
  volatile LONG Ticks;
};

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { InterlockedIncrement(&((PDEVICE)Context)->Ticks); }

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  ULONG Value;
  return TakePulse(Context, &Value);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeTimer(&Device->Timer);
  KeInitializeDpc(&Device->Card.Dpc, Tick, Device);
  const NTSTATUS Status = ConnectAndEnable(Device, Isr, NULL);
  if (NT_SUCCESS(Status)) KeSetTimerEx(&Device->Timer, After(1), 10, &Device->Card.Dpc);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  const BOOLEAN IsGone = READ_REGISTER_ULONG(Device->Card.Registers + CARD_STATUS) == CARD_GONE;
  if (!IsGone) QuietCard(Device);
  Disconnect(Device);
#ifndef FIXED
  if (IsGone) return;
#endif
  KeCancelTimer(&Device->Timer);
  KeFlushQueuedDpcs();
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
