/* The next transfer is begun by the thread that has one, or by the DPC of the last, unless Busy says that one is under way. Both find it FALSE,
 * and the card is told of two at once. Idea: https://github.com/nmap/npcap/issues/553 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  ULONG Waiting; /* transfers; with the lock */
  BOOLEAN Busy;  /* with the lock */
  volatile LONG InFlight;
};

static VOID Begin(PDEVICE Device, ULONG More) {
  BOOLEAN Mine;
#ifdef FIXED
  KIRQL OldIrql;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
#endif
  Device->Waiting += More;
  Mine = !Device->Busy && Device->Waiting != 0;
  if (Mine) {
    Device->Busy = TRUE;
    --Device->Waiting;
  }
#ifdef FIXED
  KeReleaseSpinLock(&Device->Lock, OldIrql);
#endif
  if (!Mine) return;
  const LONG Now = InterlockedIncrement(&Device->InFlight);
  INVARIANT(Now == 1, Now, 1);
  RingDoorbell(Device, 50);
}

static VOID Ended(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  InterlockedDecrement(&Device->InFlight);
#ifdef FIXED
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
#endif
  Device->Busy = FALSE;
#ifdef FIXED
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#endif
  Begin(Device, 0);
}

static VOID Send(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 6; ++Round) {
    Begin(Device, 2);
    KeStallExecutionProcessor(130);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeDpc(&Device->Card.Dpc, Ended, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Send);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
