/* A 64-bit count is kept as two halves, and read without the lock. Between the low half that has wrapped and the high half that has not yet grown
 * the thread sees 4 GB less than before. Idea: https://github.com/google/syzkaller/issues/6578 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  ULONG Low, High; /* bytes so far */
};

static VOID Count(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  Device->Low += 1500;
  if (Device->Low < 1500) ++Device->High;
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
}

static VOID Watch(PDEVICE Device) {
  ULONGLONG Before = 0;
  ULONG Round;
  for (Round = 0; Round < 12; ++Round) {
    ULARGE_INTEGER Now;
#ifdef FIXED
    KIRQL OldIrql;
    KeAcquireSpinLock(&Device->Lock, &OldIrql);
#endif
    Now.LowPart = Device->Low;
    Now.HighPart = Device->High;
#ifdef FIXED
    KeReleaseSpinLock(&Device->Lock, OldIrql);
#endif
    INVARIANT(Now.QuadPart >= Before, Now.QuadPart, Before);
    Before = Now.QuadPart;
    KeStallExecutionProcessor(70);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeDpc(&Device->Card.Dpc, Count, Device);
  Device->Low = MAXULONG - 4000; /* it wraps with the third */
  return ConnectAndEnable(Device, QueueDpcForPulse, Watch);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
