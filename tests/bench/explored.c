/* What explore_bench explores: an ISR and its DPC that add up, under the interrupt's lock, and a thread that looks at the sum. Between START
 * and removal of a card that interrupts four times these are 73 accesses, and 16 for each of ROUNDS. */
#include "../museum/museum.h"

#define ROOM 8

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  ULONG Ring[ROOM];
  ULONG Tail, Head;
  ULONG Sum;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  Device->Ring[Device->Tail++ % ROOM] = Value;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static BOOLEAN Take(PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Round;
  if (Device->Head == Device->Tail) return FALSE;
  for (Round = 0; Round < ROUNDS; ++Round) Device->Sum += Device->Ring[Device->Head % ROOM];
  ++Device->Head;
  return TRUE;
}

static VOID Drain(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  while (KeSynchronizeExecution(Interrupt(Device), Take, Device)) continue;
}

static VOID Look(PDEVICE Device) {
  const KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
  ++Device->Sum;
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Dpc, Drain, Device);
  return ConnectAndEnable(Device, Isr, Look);
}

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
