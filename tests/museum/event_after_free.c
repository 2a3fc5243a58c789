/* The DPC sets the event and then writes the result. The thread that waits for the event wakes on another processor before that, finds no result,
 * and frees the request under the DPC's hand. Idea: https://github.com/reactos/reactos/pull/5900 */
#include "museum.h"

typedef struct _REQUEST {
  KEVENT Done;
  LONG Result;
} REQUEST, *PREQUEST;

struct _DEVICE {
  CARD Card;
  REQUEST* volatile Current; /* taken and put by exchange */
};

static VOID Answer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  const PREQUEST Request = InterlockedExchangePointer((PVOID volatile*)&Device->Current, NULL);
  if (Request == NULL) return;
#ifdef FIXED
  Request->Result = 1;
  KeSetEvent(&Request->Done, IO_NO_INCREMENT, FALSE);
#else
  KeSetEvent(&Request->Done, IO_NO_INCREMENT, FALSE);
  Request->Result = 1;
#endif
}

static VOID Ask(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 4; ++Round) {
    const PREQUEST Request = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Request), MUSEUM_TAG);
    if (Request == NULL) return;
    KeInitializeEvent(&Request->Done, NotificationEvent, FALSE);
    Request->Result = 0;
    InterlockedExchangePointer((PVOID volatile*)&Device->Current, Request);
    RingDoorbell(Device, 60);
    KeWaitForSingleObject(&Request->Done, Executive, KernelMode, FALSE, NULL);
    INVARIANT(Request->Result == 1, Request->Result, 1);
    ExFreePoolWithTag(Request, MUSEUM_TAG);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, Answer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
