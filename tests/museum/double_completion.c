/* The answer and the time limit both end the current request, and both look whether there is one before they take it away. When they do so at the
 * same time, the request is completed twice. Idea: https://github.com/reactos/reactos/pull/3251 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT Done;
  PIRP Current; /* the request that waits for a pulse */
};

static VOID EndCurrent(PDEVICE Device, NTSTATUS Status) {
#ifdef FIXED
  const PIRP Irp = InterlockedExchangePointer((PVOID volatile*)&Device->Current, NULL);
#else
  const PIRP Irp = Device->Current;
  Device->Current = NULL;
#endif
  if (Irp == NULL) return;
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = 0;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

static VOID Answer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { EndCurrent(Context, STATUS_SUCCESS); }

static NTSTATUS Control(PDEVICE Device, PIRP Irp) {
  IoMarkIrpPending(Irp);
  InterlockedExchangePointer((PVOID volatile*)&Device->Current, Irp);
  return STATUS_PENDING;
}

static NTSTATUS RequestDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  const PDEVICE Device = Context;
  KeSetEvent(&Device->Done, IO_NO_INCREMENT, FALSE);
  return STATUS_MORE_PROCESSING_REQUIRED;
}

static VOID Ask(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 4; ++Round) {
    const PIRP Irp = NewRequest(Device, RequestDone, Device);
    if (Irp == NULL) return;
    IoCallDriver(Device->Card.Self, Irp);
    RingDoorbell(Device, 60);
    KeStallExecutionProcessor(100);
    EndCurrent(Device, STATUS_IO_TIMEOUT);
    KeWaitForSingleObject(&Device->Done, Executive, KernelMode, FALSE, NULL);
    IoFreeIrp(Irp);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeEvent(&Device->Done, SynchronizationEvent, FALSE);
  KeInitializeDpc(&Device->Card.Dpc, Answer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll, Control};
