/* The DPC takes the cancel routine out of the request and does not look whether it was still there. If IoCancelIrp was faster, the cancel routine
 * is on its way on another processor, and both complete the request. Idea: https://github.com/emersonbusson/ramshared/pull/582 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT Done;
  KSPIN_LOCK Lock;
  PIRP Current; /* the request that waits for a pulse */
};

/* As Complete does; but here it is what fails, and is to be found in this file. */
static VOID End(PIRP Irp, NTSTATUS Status) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = 0;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
}

static VOID Cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  const PDEVICE Device = DeviceObject->DeviceExtension;
  KIRQL OldIrql;
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  if (Device->Current == Irp) Device->Current = NULL;
  KeReleaseSpinLock(&Device->Lock, OldIrql);
  End(Irp, STATUS_CANCELLED);
}

static VOID Answer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  PIRP Irp;
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  Irp = Device->Current;
#ifdef FIXED
  if (Irp != NULL && IoSetCancelRoutine(Irp, NULL) == NULL) Irp = NULL; /* the cancel routine's */
#else
  if (Irp != NULL) IoSetCancelRoutine(Irp, NULL);
#endif
  if (Irp != NULL) Device->Current = NULL;
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
  if (Irp != NULL) End(Irp, STATUS_SUCCESS);
}

/* Nobody cancels it before this returns. */
static NTSTATUS Control(PDEVICE Device, PIRP Irp) {
  KIRQL OldIrql;
  IoMarkIrpPending(Irp);
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  Device->Current = Irp;
  IoSetCancelRoutine(Irp, Cancel);
  KeReleaseSpinLock(&Device->Lock, OldIrql);
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
    IoCancelIrp(Irp); /* patience has an end */
    KeWaitForSingleObject(&Device->Done, Executive, KernelMode, FALSE, NULL);
    IoFreeIrp(Irp);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeEvent(&Device->Done, SynchronizationEvent, FALSE);
  KeInitializeDpc(&Device->Card.Dpc, Answer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll, Control};
