/* Requests wait in a list that the DPC protects with the driver's lock, and the cancel routine with the cancel lock. Each takes its own entry out,
 * at once, and the links between the two are lost. Idea: https://github.com/dokan-dev/dokany/issues/1188 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KSEMAPHORE Done;
  KSPIN_LOCK Lock;
  LIST_ENTRY Waiting;
};

static VOID Cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
#ifdef FIXED
  const PDEVICE Device = DeviceObject->DeviceExtension;
  KIRQL OldIrql;
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
  KeReleaseSpinLock(&Device->Lock, OldIrql);
#else
  RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
  IoReleaseCancelSpinLock(Irp->CancelIrql);
#endif
  Complete(Irp, STATUS_CANCELLED);
}

/* The first that nobody is cancelling. */
static VOID Answer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  PLIST_ENTRY Entry;
  PIRP Irp = NULL;
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  for (Entry = Device->Waiting.Flink; Entry != &Device->Waiting && Irp == NULL; Entry = Entry->Flink) {
    Irp = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.ListEntry);
    if (IoSetCancelRoutine(Irp, NULL) == NULL) Irp = NULL;
  }
  if (Irp != NULL) RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
  if (Irp != NULL) Complete(Irp, STATUS_SUCCESS);
}

static NTSTATUS Control(PDEVICE Device, PIRP Irp) {
  KIRQL OldIrql;
  IoMarkIrpPending(Irp);
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  InsertTailList(&Device->Waiting, &Irp->Tail.Overlay.ListEntry);
  IoSetCancelRoutine(Irp, Cancel); /* nobody cancels it before this returns */
  KeReleaseSpinLock(&Device->Lock, OldIrql);
  return STATUS_PENDING;
}

static NTSTATUS RequestDone(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  const PDEVICE Device = Context;
  KeReleaseSemaphore(&Device->Done, IO_NO_INCREMENT, 1, FALSE);
  return STATUS_MORE_PROCESSING_REQUIRED;
}

static VOID AskTwice(PDEVICE Device) {
  ULONG Round, Index;
  for (Round = 0; Round < 3; ++Round) {
    PIRP Requests[2] = {NewRequest(Device, RequestDone, Device), NewRequest(Device, RequestDone, Device)};
    for (Index = 0; Index < 2; ++Index)
      if (Requests[Index] != NULL) IoCallDriver(Device->Card.Self, Requests[Index]);
    RingDoorbell(Device, 60);
    KeStallExecutionProcessor(100);
    for (Index = 2; Index-- > 0;)
      if (Requests[Index] != NULL) IoCancelIrp(Requests[Index]);
    for (Index = 0; Index < 2; ++Index)
      if (Requests[Index] != NULL) KeWaitForSingleObject(&Device->Done, Executive, KernelMode, FALSE, NULL);
    for (Index = 0; Index < 2; ++Index)
      if (Requests[Index] != NULL) IoFreeIrp(Requests[Index]);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeSpinLock(&Device->Lock);
  KeInitializeSemaphore(&Device->Done, 0, 2);
  InitializeListHead(&Device->Waiting);
  KeInitializeDpc(&Device->Card.Dpc, Answer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, AskTwice);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  INVARIANT(IsListEmpty(&Device->Waiting), Device->Waiting.Flink, &Device->Waiting);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop, Control};
