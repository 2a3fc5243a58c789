/* The DPC looks whether there is a current request and then fetches the pointer once more, to use it. The thread takes the request away in
 * between. Idea: https://github.com/reactos/reactos/pull/3251 */
#include "museum.h"

typedef struct _REQUEST {
  ULONG Answers;
} REQUEST, *PREQUEST;

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  PREQUEST Current;
};

static VOID Answer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
#endif
  if (Device->Current != NULL) ++Device->Current->Answers;
#ifdef FIXED
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#endif
}

static VOID SetCurrent(PDEVICE Device, PREQUEST Request) {
#ifdef FIXED
  KIRQL OldIrql;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
#endif
  Device->Current = Request;
#ifdef FIXED
  KeReleaseSpinLock(&Device->Lock, OldIrql);
#endif
}

static VOID Ask(PDEVICE Device) {
  ULONG Round;
  REQUEST Request = {0};
  for (Round = 0; Round < 5; ++Round) {
    SetCurrent(Device, &Request);
    KeStallExecutionProcessor(70);
    SetCurrent(Device, NULL);
    KeStallExecutionProcessor(70);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeDpc(&Device->Card.Dpc, Answer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
