/* A timer's DPC resets a card that has gone silent. Removal cancels the timer and does not wait for the DPC, which may be running on another
 * processor: it resets a card whose registers are not mapped any more. Idea: https://github.com/openzfsonwindows/openzfs/issues/92 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KTIMER Timer;
  KDPC Dpc;
  ULONG Before; /* the DPC's: pulses at its last look */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  ULONG Value;
  return TakePulse(Context, &Value);
}

static VOID LookAfterCard(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  const ULONG Now = READ_REGISTER_ULONG(Device->Card.Registers + CARD_COUNT);
  if (Now == Device->Before) {
    QuietCard(Device);
    EnableCard(Device);
  }
  Device->Before = Now;
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeTimer(&Device->Timer);
  InitializeDpc(&Device->Dpc, LookAfterCard, Device, OtherProcessor());
  const NTSTATUS Status = ConnectAndEnable(Device, Isr, NULL);
  if (NT_SUCCESS(Status)) KeSetTimerEx(&Device->Timer, After(1), 10, &Device->Dpc);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  KeCancelTimer(&Device->Timer);
#ifdef FIXED
  KeFlushQueuedDpcs();
#endif
  QuietCard(Device);
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
