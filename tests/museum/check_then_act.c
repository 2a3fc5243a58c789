/* Whether there is room is asked under the lock, and so is the place taken, but the lock is let go in between. The DPC and the thread both find
 * the last place free and both take it, the second beyond the end. Idea: https://github.com/rexglue/rexglue-sdk/issues/386 */
#include "museum.h"

#define ROOM 4

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  ULONG Ring[ROOM + 2]; /* those that have two too many */
  ULONG Count;
};

static VOID Put(PDEVICE Device, ULONG Value) {
  KIRQL OldIrql;
  BOOLEAN Full;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  Full = Device->Count >= ROOM;
#ifndef FIXED
  KeReleaseSpinLock(&Device->Lock, OldIrql);
  if (Full) return;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
#endif
  if (!Full) Device->Ring[Device->Count++] = Value;
  KeReleaseSpinLock(&Device->Lock, OldIrql);
}

static VOID PutInDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { Put(Context, 1); }

static VOID PutInThread(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 4; ++Round) {
    KeStallExecutionProcessor(150);
    Put(Device, 2);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeDpc(&Device->Card.Dpc, PutInDpc, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, PutInThread);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  INVARIANT(Device->Count <= ROOM, Device->Count, ROOM);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
