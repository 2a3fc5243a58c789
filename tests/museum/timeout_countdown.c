/* A timer counts down the time that a command may take, and the interrupt that answers it ends the count. One that comes between the timer's look
 * at Left and its --Left makes it 4 billion ticks, or leaves the command to be timed out. Idea:
 * https://learn.microsoft.com/windows-hardware/drivers/ddi/wdm/nf-wdm-kesynchronizeexecution */
#include "museum.h"

#define LIMIT 3 /* ticks */

struct _DEVICE {
  CARD Card;
  KTIMER Timer;
  KDPC Dpc;
  ULONG Left; /* of them; 0: there is no command */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  Device->Left = 0;
  return TRUE;
}

static BOOLEAN CountDown(PVOID Context) {
  const PDEVICE Device = Context;
  if (Device->Left != 0) {
    --Device->Left;
    return FALSE;
  }
  Device->Left = LIMIT;
  return TRUE;
}

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  const BOOLEAN Command = KeSynchronizeExecution(Interrupt(Device), CountDown, Device);
#else
  const BOOLEAN Command = CountDown(Device);
  INVARIANT(Device->Left <= LIMIT, Device->Left, LIMIT);
#endif
  if (Command) RingDoorbell(Device, 20000);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeTimer(&Device->Timer);
  KeInitializeDpc(&Device->Dpc, Tick, Device);
  const NTSTATUS Status = ConnectAndEnable(Device, Isr, NULL);
  if (NT_SUCCESS(Status)) KeSetTimerEx(&Device->Timer, After(1), 10, &Device->Dpc);
  return Status;
}

static VOID Stop(PDEVICE Device) {
  KeCancelTimer(&Device->Timer);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Left <= LIMIT, Device->Left, LIMIT);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
