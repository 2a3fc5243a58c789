/* While its queue is full the service routine leaves the pulse where it is, for later, and does not clear it. The line stays asserted, the routine
 * is called again and again, and the DPC that would make room never runs. Idea: https://github.com/raspberrypi/linux/issues/2676 */
#include "museum.h"

#define ROOM 1

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  ULONG Queue[ROOM];
  ULONG Count; /* with the interrupt's lock, as all here */
  ULONG Lost;
  ULONG Sum;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
#ifndef FIXED
  if (Device->Count == ROOM) return TRUE;
#endif
  if (!TakePulse(Device, &Value)) return FALSE;
  if (Device->Count == ROOM) {
    ++Device->Lost;
    return TRUE;
  }
  Device->Queue[Device->Count++] = Value;
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
  return TRUE;
}

static BOOLEAN TakeOne(PVOID Context) {
  const PDEVICE Device = Context;
  if (Device->Count == 0) return FALSE;
  Device->Sum += Device->Queue[--Device->Count];
  return TRUE;
}

static VOID Drain(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  while (KeSynchronizeExecution(Interrupt(Device), TakeOne, Device)) continue;
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Dpc, Drain, Device);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  KeFlushQueuedDpcs(); /* they use the interrupt object */
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
