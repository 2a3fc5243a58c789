/* From queued requests to full periods. A write is taken bit by bit as there is room, and completed when its last byte is in the ring.
 *
 * Cancelling (every queued request has a cancel routine): whoever gets it back from IoSetCancelRoutine owns the request. NULL means that the
 * cancel routine has been chosen and only waits for our lock; the request is then left to it, on the list where it expects it. */
#include "ac97.h"

static DRIVER_CANCEL Ac97CancelWrite;
static DRIVER_CANCEL Ac97CancelDrain;

static VOID Ac97Finish(PIRP Irp, NTSTATUS Status, PLIST_ENTRY Finished) {
  Irp->IoStatus.Status = Status;
  InsertTailList(Finished, &Irp->Tail.Overlay.ListEntry);
}

/* Not with the lock held: completion routines may send the next write from inside. */
VOID Ac97CompleteFinished(PAC97_CARD Card, PLIST_ENTRY Finished) {
  while (!IsListEmpty(Finished)) {
    PIRP Irp = CONTAINING_RECORD(RemoveHeadList(Finished), IRP, Tail.Overlay.ListEntry);
    IoCompleteRequest(Irp, IO_SOUND_INCREMENT);
    IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  }
}

/* For a request on the list, with the lock held. One that was cancelled before it had a cancel routine is ours to finish. */
static VOID Ac97MakeCancellable(PIRP Irp, PLIST_ENTRY Finished) {
  IoSetCancelRoutine(Irp, Ac97CancelWrite);
  if (!Irp->Cancel || IoSetCancelRoutine(Irp, NULL) == NULL) return;
  RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
  Ac97Finish(Irp, STATUS_CANCELLED, Finished);
}

static BOOLEAN Ac97HasRoom(PAC97_CARD Card) { return Card->Filled - Card->Done < Card->Ahead; }

static PUCHAR Ac97CurrentPeriod(PAC97_CARD Card) { return Card->Audio + (Card->Filled % RING_SIZE) * Card->PeriodBytes; }

/* The period being filled is full. */
static VOID Ac97EndPeriod(PAC97_CARD Card) {
  PAC97_DESCRIPTOR Descriptor = &Card->Ring[Card->Filled % RING_SIZE];
  Descriptor->Address = Card->CommonPhysical.LowPart + (ULONG)(Ac97CurrentPeriod(Card) - Card->Common);
  Descriptor->Samples = Card->PeriodBytes / sizeof(SHORT) | DESCRIPTOR_INTERRUPT;
  Card->Filled++;
  Card->Partial = 0;
}

/* Copies from one write until it is used up or the ring is full. */
static VOID Ac97Take(PAC97_CARD Card, PIRP Irp) {
  const ULONG Length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
  const PUCHAR Source = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority); /* mapped when it was queued */
  while (Irp->IoStatus.Information < Length && Ac97HasRoom(Card)) {
    const ULONG Offset = (ULONG)Irp->IoStatus.Information;
    const ULONG Bytes = min(Length - Offset, Card->PeriodBytes - Card->Partial);
    RtlCopyMemory(Ac97CurrentPeriod(Card) + Card->Partial, Source + Offset, Bytes);
    Irp->IoStatus.Information += Bytes;
    Card->BytesTaken += Bytes;
    Card->Partial += Bytes;
    if (Card->Partial == Card->PeriodBytes) Ac97EndPeriod(Card);
  }
}

static VOID Ac97Fill(PAC97_CARD Card, PLIST_ENTRY Finished) {
  PLIST_ENTRY Entry = Card->Writes.Flink;
  while (Entry != &Card->Writes && Ac97HasRoom(Card)) {
    PIRP Irp = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.ListEntry);
    Entry = Entry->Flink;
    if (IoSetCancelRoutine(Irp, NULL) == NULL) continue;
    Ac97Take(Card, Irp);
    if (Irp->IoStatus.Information < IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length) {
      Ac97MakeCancellable(Irp, Finished);
    } else {
      RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
      Ac97Finish(Irp, STATUS_SUCCESS, Finished);
    }
  }
  if (Card->Flushing && IsListEmpty(&Card->Writes) && Card->Partial != 0) {
    RtlZeroMemory(Ac97CurrentPeriod(Card) + Card->Partial, Card->PeriodBytes - Card->Partial);
    Ac97EndPeriod(Card);
  }
}

/* The drain, if there is one and it is ours. */
static PIRP Ac97TakeDrain(PAC97_CARD Card) {
  PIRP Irp = Card->Drain;
  if (Irp == NULL || IoSetCancelRoutine(Irp, NULL) == NULL) return NULL;
  Card->Drain = NULL;
  return Irp;
}

/* When all is played: the card reads ahead of what is heard, so let it be silent for a while before it is stopped and the drain completed. */
static VOID Ac97End(PAC97_CARD Card, PLIST_ENTRY Finished) {
  LARGE_INTEGER Silence;
  if (!Card->Flushing || !IsListEmpty(&Card->Writes) || Card->Partial != 0 || Card->Filled != Card->Done) return;
  if (Card->Running) {
    /* The card has at most 1024 frames, 21.3 ms, inside; and a timer may end up to a clock tick, 15.6 ms, early. */
    Silence.QuadPart = -50 * 10000;
    if (Card->Halted) KeSetTimer(&Card->SilenceTimer, Silence, &Card->SilenceDpc);
  } else {
    PIRP Drain = Ac97TakeDrain(Card);
    if (Drain != NULL) Ac97Finish(Drain, STATUS_SUCCESS, Finished);
  }
}

/* With the lock held: all that can be done now. What is finished is put on the list, for Ac97CompleteFinished. */
VOID Ac97Serve(PAC97_CARD Card, PLIST_ENTRY Finished) {
  if (Card->State != Ac97Started) return;
  Ac97Fill(Card, Finished);
  Ac97Push(Card);
  Ac97End(Card, Finished);
}

NTSTATUS Ac97Write(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  const ULONG Length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
  LIST_ENTRY Finished;
  KIRQL OldIrql;
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);

  if (Length % AC97_FRAME_BYTES != 0) {
    Status = STATUS_INVALID_PARAMETER;
  } else if (Length != 0 && MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority) == NULL) {
    Status = STATUS_INSUFFICIENT_RESOURCES;
  }
  if (!NT_SUCCESS(Status) || Length == 0) {
    Ac97Complete(Irp, Status, 0);
    IoReleaseRemoveLock(&Card->RemoveLock, Irp);
    return Status;
  }

  InitializeListHead(&Finished);
  Irp->IoStatus.Information = 0;
  IoMarkIrpPending(Irp);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  if (Card->State == Ac97Gone) {
    Ac97Finish(Irp, STATUS_DEVICE_REMOVED, &Finished);
  } else {
    if (Card->Drain == NULL) Card->Flushing = FALSE;
    InsertTailList(&Card->Writes, &Irp->Tail.Overlay.ListEntry);
    Ac97MakeCancellable(Irp, &Finished);
    Ac97Serve(Card, &Finished);
  }
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97CompleteFinished(Card, &Finished);
  return STATUS_PENDING;
}

/* IRP_MJ_FLUSH_BUFFERS and IOCTL_AC97_DRAIN. */
NTSTATUS Ac97Drain(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  LIST_ENTRY Finished;
  KIRQL OldIrql;
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);

  InitializeListHead(&Finished);
  Irp->IoStatus.Information = 0;
  IoMarkIrpPending(Irp);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  if (Card->State == Ac97Gone) {
    Ac97Finish(Irp, STATUS_DEVICE_REMOVED, &Finished);
  } else if (Card->Drain != NULL) {
    Ac97Finish(Irp, STATUS_DEVICE_BUSY, &Finished);
  } else {
    Card->Drain = Irp;
    Card->Flushing = TRUE;
    IoSetCancelRoutine(Irp, Ac97CancelDrain);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) {
      Card->Drain = NULL;
      Ac97Finish(Irp, STATUS_CANCELLED, &Finished);
    }
    Ac97Serve(Card, &Finished);
  }
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97CompleteFinished(Card, &Finished);
  return STATUS_PENDING;
}

/* Called with the cancel lock held: give it back before anything else, all drivers share it. */
static VOID Ac97CancelWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  LIST_ENTRY Finished;
  KIRQL OldIrql;
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  InitializeListHead(&Finished);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
  Ac97Finish(Irp, STATUS_CANCELLED, &Finished);
  Ac97Serve(Card, &Finished); /* a drain may have waited for this one only */
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97CompleteFinished(Card, &Finished);
}

static VOID Ac97CancelDrain(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  KIRQL OldIrql;
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->Drain = NULL;
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97Complete(Irp, STATUS_CANCELLED, 0);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
}

/* Ends the queued requests of one file, or of all (NULL). Those that are being cancelled end by themselves. */
VOID Ac97CancelQueued(PAC97_CARD Card, PFILE_OBJECT FileObject, NTSTATUS Status) {
  LIST_ENTRY Finished;
  PLIST_ENTRY Entry;
  KIRQL OldIrql;
  InitializeListHead(&Finished);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  for (Entry = Card->Writes.Flink; Entry != &Card->Writes;) {
    PIRP Irp = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.ListEntry);
    Entry = Entry->Flink;
    if (FileObject != NULL && IoGetCurrentIrpStackLocation(Irp)->FileObject != FileObject) continue;
    if (IoSetCancelRoutine(Irp, NULL) == NULL) continue;
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
    Ac97Finish(Irp, Status, &Finished);
  }
  if (Card->Drain != NULL && (FileObject == NULL || IoGetCurrentIrpStackLocation(Card->Drain)->FileObject == FileObject)) {
    PIRP Drain = Ac97TakeDrain(Card);
    if (Drain != NULL) Ac97Finish(Drain, Status, &Finished);
  }
  Card->Flushing = TRUE; /* what is in the ring is heard */
  Ac97Serve(Card, &Finished);
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97CompleteFinished(Card, &Finished);
}
