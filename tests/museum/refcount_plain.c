/* A reference is dropped with InterlockedDecrement, and then the count is looked at once more: when the DPC and the thread both have dropped
 * theirs before either looks, both free the buffer. Idea: https://github.com/dokan-dev/dokany/issues/58 */
#include "museum.h"

typedef struct _BUFFER {
  volatile LONG References;
} BUFFER, *PBUFFER;

struct _DEVICE {
  CARD Card;
  BUFFER* volatile Current; /* that the DPC is to finish; taken and put by exchange */
  volatile LONG Freed;
  LONG Allocated; /* the thread's */
};

static VOID Drop(PDEVICE Device, PBUFFER Buffer) {
#ifdef FIXED
  if (InterlockedDecrement(&Buffer->References) != 0) return;
#else
  InterlockedDecrement(&Buffer->References);
  if (Buffer->References != 0) return;
#endif
  InterlockedIncrement(&Device->Freed);
  ExFreePoolWithTag(Buffer, MUSEUM_TAG);
}

static VOID DropCurrent(PDEVICE Device) {
  const PBUFFER Buffer = InterlockedExchangePointer((PVOID volatile*)&Device->Current, NULL);
  if (Buffer != NULL) Drop(Device, Buffer);
}

static VOID Finish(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { DropCurrent(Context); }

static VOID Send(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 5; ++Round) {
    const PBUFFER Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Buffer), MUSEUM_TAG);
    if (Buffer == NULL) return;
    ++Device->Allocated;
    Buffer->References = 2; /* the thread's own, and the DPC's */
    InterlockedExchangePointer((PVOID volatile*)&Device->Current, Buffer);
    RingDoorbell(Device, 60);
    KeStallExecutionProcessor(100);
    Drop(Device, Buffer);
    DropCurrent(Device); /* if it was not finished in time */
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, Finish, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Send);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  INVARIANT(Device->Freed == Device->Allocated, Device->Freed, Device->Allocated);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
