/* A request is finished by the answer or by the one who has lost patience, whoever is first. Both test Done and set it afterwards: when the answer
 * comes at the last moment both are first, and the reference is dropped twice. Idea: https://github.com/microsoft/ebpf-for-windows/pull/2355 */
#include "museum.h"

#define REQUESTS 5

typedef struct _REQUEST {
  volatile LONG Done;
} REQUEST, *PREQUEST;

struct _DEVICE {
  CARD Card;
  REQUEST Requests[REQUESTS];
  volatile LONG Current; /* which of them is under way */
  volatile LONG References;
};

static VOID Finish(PDEVICE Device, PREQUEST Request) {
#ifdef FIXED
  if (InterlockedExchange(&Request->Done, TRUE)) return;
#else
  if (ReadNoFence(&Request->Done)) return;
  WriteNoFence(&Request->Done, TRUE);
#endif
  InterlockedDecrement(&Device->References);
}

static VOID Answered(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  Finish(Device, &Device->Requests[ReadAcquire(&Device->Current)]);
}

static VOID Ask(PDEVICE Device) {
  LONG Number;
  for (Number = 0; Number < REQUESTS; ++Number) {
    InterlockedIncrement(&Device->References);
    WriteRelease(&Device->Current, Number);
    RingDoorbell(Device, 60);
    KeStallExecutionProcessor(100);
    Finish(Device, &Device->Requests[Number]); /* patience has an end */
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, Answered, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  INVARIANT(Device->References == 0, Device->References, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
