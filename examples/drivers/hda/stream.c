/* Requests come one at a time, through StartIo: writes are copied into the ring as it empties, a flush ends when what was written before is heard. */
#include "hda.h"

static DRIVER_CANCEL HdaCancel;

/* A write counts in IoStatus.Information how much of it is in the ring. */
static VOID HdaCopy(PHDA_CONTROLLER Controller, PUCHAR From, ULONG Bytes) {
  while (Bytes != 0) {
    const ULONG Place = (ULONG)(Controller->Written % Controller->RingBytes);
    const ULONG Piece = min(Bytes, Controller->RingBytes - Place);
    if (From != NULL) {
      RtlCopyMemory(Controller->Common + Place, From, Piece);
      From += Piece;
    } else {
      RtlZeroMemory(Controller->Common + Place, Piece);
    }
    Controller->Written += Piece;
    Bytes -= Piece;
  }
}

static ULONG HdaRoom(PHDA_CONTROLLER Controller) { return (ULONG)(Controller->Read + Controller->RingBytes - Controller->Written); }

/* With the lock held. TRUE: the current request is done. */
static BOOLEAN HdaFeedWrite(PHDA_CONTROLLER Controller, PIRP Irp) {
  const ULONG Left = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length - (ULONG)Irp->IoStatus.Information;
  const ULONG Bytes = min(Left, HdaRoom(Controller));
  PUCHAR Source = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority); /* mapped when it was queued */
  HdaCopy(Controller, Source + Irp->IoStatus.Information, Bytes);
  Irp->IoStatus.Information += Bytes;
  return Bytes == Left;
}

/* What comes behind is silence, and of that enough that the codec, which has some 20 ms inside, is past the end too. */
static BOOLEAN HdaFeedFlush(PHDA_CONTROLLER Controller) {
  if (!Controller->Running) return TRUE;
  if (Controller->HeardAt == 0) Controller->HeardAt = Controller->Written + BYTES_PER_SECOND / 20;
  HdaCopy(Controller, NULL, HdaRoom(Controller));
  if (Controller->Read < Controller->HeardAt) return FALSE;
  HdaStop(Controller);
  return TRUE;
}

/* With the lock held. The request that is done, and no longer the current one; NULL: it needs more time, or there is none. */
static PIRP HdaFeed(PHDA_CONTROLLER Controller) {
  PIRP Irp = Controller->Current;
  BOOLEAN Done;
  if (Irp == NULL) return NULL;
  Done = IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_WRITE ? HdaFeedWrite(Controller, Irp) : HdaFeedFlush(Controller);
  if (!Done) return NULL;
  Controller->Current = NULL;
  return Irp;
}

/* At DISPATCH_LEVEL, without the lock: the next request's turn comes inside. */
static VOID HdaFinish(PHDA_CONTROLLER Controller, PIRP Irp, NTSTATUS Status) {
  PDEVICE_OBJECT DeviceObject = Controller->Self;
  Irp->IoStatus.Status = Status;
  IoCompleteRequest(Irp, IO_SOUND_INCREMENT);
  IoStartNextPacket(DeviceObject, TRUE);
  IoReleaseRemoveLock(&Controller->RemoveLock, Irp);
}

/* From here on a request is not cancelled: it ends within the time that its sound takes. */
VOID HdaStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  PIRP Done = NULL;
  BOOLEAN Started;
  KeAcquireSpinLockAtDpcLevel(&Controller->Lock);
  Started = Controller->Started;
  if (Started) {
    Controller->Current = Irp;
    Controller->HeardAt = 0;
    if (!Controller->Running && IoGetCurrentIrpStackLocation(Irp)->MajorFunction == IRP_MJ_WRITE) HdaRun(Controller);
    Done = HdaFeed(Controller);
  }
  KeReleaseSpinLockFromDpcLevel(&Controller->Lock);
  if (!Started) HdaFinish(Controller, Irp, STATUS_DEVICE_REMOVED);
  if (Done != NULL) HdaFinish(Controller, Done, STATUS_SUCCESS);
}

VOID HdaDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  PHDA_CONTROLLER Controller = Context;
  PIRP Done = NULL;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(DeviceObject);
  UNREFERENCED_PARAMETER(Irp);
  KeAcquireSpinLockAtDpcLevel(&Controller->Lock);
  if (Controller->Running) {
    HdaProgress(Controller);
    Done = HdaFeed(Controller);
  }
  KeReleaseSpinLockFromDpcLevel(&Controller->Lock);
  if (Done != NULL) HdaFinish(Controller, Done, STATUS_SUCCESS);
}

/* Called with the cancel lock held, for requests that wait in the queue. */
static VOID HdaCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  HdaComplete(Irp, STATUS_CANCELLED, 0);
  IoReleaseRemoveLock(&Controller->RemoveLock, Irp);
}

/* At this moment; with no lock held it may change at once, and StartIo looks again. */
static BOOLEAN HdaIsStarted(PHDA_CONTROLLER Controller) {
  KIRQL OldIrql;
  BOOLEAN Started;
  KeAcquireSpinLock(&Controller->Lock, &OldIrql);
  Started = Controller->Started;
  KeReleaseSpinLock(&Controller->Lock, OldIrql);
  return Started;
}

/* IRP_MJ_WRITE and IRP_MJ_FLUSH_BUFFERS. */
NTSTATUS HdaQueue(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  NTSTATUS Status = IoAcquireRemoveLock(&Controller->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return HdaComplete(Irp, Status, 0);
  if (!HdaIsStarted(Controller)) {
    Status = STATUS_DEVICE_NOT_READY;
  } else if (Stack->MajorFunction == IRP_MJ_WRITE) {
    const ULONG Length = Stack->Parameters.Write.Length;
    if (Length == 0 || Length % FRAME_BYTES != 0) {
      Status = STATUS_INVALID_PARAMETER;
    } else if (MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority) == NULL) {
      Status = STATUS_INSUFFICIENT_RESOURCES;
    }
  }
  if (!NT_SUCCESS(Status)) {
    HdaComplete(Irp, Status, 0);
    IoReleaseRemoveLock(&Controller->RemoveLock, Irp);
    return Status;
  }
  Irp->IoStatus.Information = 0;
  IoMarkIrpPending(Irp);
  IoStartPacket(DeviceObject, Irp, NULL, HdaCancel);
  return STATUS_PENDING;
}

/* The last handle is gone: what is queued for it ends now, and the request that plays when its sound is in the ring. */
NTSTATUS HdaCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  PFILE_OBJECT File = IoGetCurrentIrpStackLocation(Irp)->FileObject;
  LIST_ENTRY Cancelled;
  PLIST_ENTRY Entry, Next;
  KIRQL OldIrql;
  InitializeListHead(&Cancelled);
  IoAcquireCancelSpinLock(&OldIrql); /* IoStartPacket and IoStartNextPacket change the queue with it held */
  for (Entry = DeviceObject->DeviceQueue.DeviceListHead.Flink; Entry != &DeviceObject->DeviceQueue.DeviceListHead; Entry = Next) {
    PIRP Waiting = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.DeviceQueueEntry.DeviceListEntry);
    Next = Entry->Flink;
    if (IoGetCurrentIrpStackLocation(Waiting)->FileObject != File || IoSetCancelRoutine(Waiting, NULL) == NULL) continue;
    if (KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Waiting->Tail.Overlay.DeviceQueueEntry))
      InsertTailList(&Cancelled, &Waiting->Tail.Overlay.ListEntry);
  }
  IoReleaseCancelSpinLock(OldIrql);
  while (!IsListEmpty(&Cancelled)) {
    PIRP Waiting = CONTAINING_RECORD(RemoveHeadList(&Cancelled), IRP, Tail.Overlay.ListEntry);
    HdaComplete(Waiting, STATUS_CANCELLED, 0);
    IoReleaseRemoveLock(&Controller->RemoveLock, Waiting);
  }
  return HdaComplete(Irp, STATUS_SUCCESS, 0);
}

/* PASSIVE_LEVEL. Nothing plays any more: whatever is queued ends. */
VOID HdaAbandon(PHDA_CONTROLLER Controller) {
  KIRQL OldIrql;
  PIRP Irp;
  do {
    KeAcquireSpinLock(&Controller->Lock, &OldIrql);
    Irp = Controller->Current;
    Controller->Current = NULL;
    KeReleaseSpinLock(&Controller->Lock, OldIrql);
    if (Irp == NULL) return;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    HdaFinish(Controller, Irp, STATUS_DEVICE_REMOVED);
    KeLowerIrql(OldIrql);
  } while (TRUE);
}
