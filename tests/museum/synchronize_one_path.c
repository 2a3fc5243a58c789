/* Flags belongs to the interrupt's lock, and one path, the rare one, forgets that: the thread that notes an error stores Flags as it was before an
 * interrupt has set its bit, or before the DPC has taken it. Idea: https://github.com/zephyrproject-rtos/zephyr/pull/37069 */
#include "museum.h"

#define FLAG_PULSE 1
#define FLAG_ERROR 2

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  ULONG Flags;
  ULONG Raised; /* the service routine's: how often FLAG_PULSE was set anew */
  ULONG Served; /* the DPC's: how often it found it */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  if ((Device->Flags & FLAG_PULSE) == 0) ++Device->Raised;
  Device->Flags |= FLAG_PULSE;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static BOOLEAN TakeFlag(PVOID Context) {
  const PDEVICE Device = Context;
  const BOOLEAN Taken = (Device->Flags & FLAG_PULSE) != 0;
  Device->Flags &= ~FLAG_PULSE;
  return Taken;
}

static BOOLEAN NoteError(PVOID Context) {
  const PDEVICE Device = Context;
  Device->Flags ^= FLAG_ERROR;
  return TRUE;
}

static VOID Serve(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  if (KeSynchronizeExecution(Interrupt(Device), TakeFlag, Device)) ++Device->Served;
}

static VOID MeetErrors(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 8; ++Round) {
    KeStallExecutionProcessor(110);
#ifdef FIXED
    KeSynchronizeExecution(Interrupt(Device), NoteError, Device);
#else
    NoteError(Device);
#endif
  }
}

static NTSTATUS Start(PDEVICE Device) {
  InitializeDpc(&Device->Dpc, Serve, Device, 0);
  return ConnectAndEnable(Device, Isr, MeetErrors);
}

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
  INVARIANT(Device->Served == Device->Raised, Device->Served, Device->Raised);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
