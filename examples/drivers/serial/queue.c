/* Requests that wait, in cancel-safe queues. The first request of a queue is worked on where it lies, with the queue's lock: whoever cancels it
 * has to wait for that lock. Of a queued request the driver has
 *   DriverContext[0]  its final status, as soon as it has one; until then STATUS_PENDING
 *   DriverContext[1]  not NULL: work on it has begun */
#include "serial.h"

static PVOID const OnlyDone = (PVOID)(ULONG_PTR)1; /* what to look for in a queue, or else a file, or anything */

static IO_CSQ_INSERT_IRP_EX SerialInsert;
static IO_CSQ_REMOVE_IRP SerialRemove;
static IO_CSQ_PEEK_NEXT_IRP SerialPeek;
static IO_CSQ_ACQUIRE_LOCK SerialAcquire;
static IO_CSQ_RELEASE_LOCK SerialRelease;
static IO_CSQ_COMPLETE_CANCELED_IRP SerialCancelled;

NTSTATUS SerialInitializeQueue(PSERIAL_QUEUE Queue, PSERIAL_PORT Port) {
  Queue->Port = Port;
  KeInitializeSpinLock(&Queue->Lock);
  InitializeListHead(&Queue->Irps);
  return IoCsqInitializeEx(&Queue->Csq, SerialInsert, SerialRemove, SerialPeek, SerialAcquire, SerialRelease, SerialCancelled);
}

static PSERIAL_QUEUE SerialQueue(PIO_CSQ Csq) { return CONTAINING_RECORD(Csq, SERIAL_QUEUE, Csq); }

static PIRP SerialIrp(PLIST_ENTRY Entry) { return CONTAINING_RECORD(Entry, IRP, Tail.Overlay.ListEntry); }

VOID SerialMarkDone(PIRP Irp, NTSTATUS Status) { Irp->Tail.Overlay.DriverContext[0] = (PVOID)(LONG_PTR)Status; }
static NTSTATUS SerialStatus(PIRP Irp) { return (NTSTATUS)(LONG_PTR)Irp->Tail.Overlay.DriverContext[0]; }
BOOLEAN SerialIsDone(PIRP Irp) { return SerialStatus(Irp) != STATUS_PENDING; }
BOOLEAN SerialHasBegun(PIRP Irp) { return Irp->Tail.Overlay.DriverContext[1] != NULL; }

/* TRUE once, for the first who asks. */
BOOLEAN SerialBegins(PIRP Irp) {
  const BOOLEAN Begins = !SerialHasBegun(Irp);
  Irp->Tail.Overlay.DriverContext[1] = Irp;
  return Begins;
}

/* -- what the queue calls, with its lock held ------------------------------------------------------------------------------------------------ */

static NTSTATUS SerialInsert(PIO_CSQ Csq, PIRP Irp, PVOID InsertContext) {
  PSERIAL_QUEUE Queue = SerialQueue(Csq);
  UNREFERENCED_PARAMETER(InsertContext);
  if (Queue->Port->Gone) return STATUS_DELETE_PENDING;
  if (Queue == &Queue->Port->Waits && (Queue->Port->WaitMask == 0 || !IsListEmpty(&Queue->Irps)))
    return STATUS_INVALID_PARAMETER; /* one waits at a time, and for something */
  InsertTailList(&Queue->Irps, &Irp->Tail.Overlay.ListEntry);
  return STATUS_SUCCESS;
}

static VOID SerialRemove(PIO_CSQ Csq, PIRP Irp) {
  PSERIAL_QUEUE Queue = SerialQueue(Csq);
  PSERIAL_PORT Port = Queue->Port;
  RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
  if (!SerialHasBegun(Irp)) return;
  if (Queue == &Port->Reads) SerialReadLeaves(Port, Irp);
  if (Queue == &Port->Writes) SerialWriteLeaves(Port, Irp);
}

static PIRP SerialPeek(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext) {
  PSERIAL_QUEUE Queue = SerialQueue(Csq);
  PLIST_ENTRY Entry = Irp == NULL ? Queue->Irps.Flink : Irp->Tail.Overlay.ListEntry.Flink;
  for (; Entry != &Queue->Irps; Entry = Entry->Flink) {
    PIRP Next = SerialIrp(Entry);
    if (PeekContext == OnlyDone ? SerialIsDone(Next) : PeekContext == NULL || IoGetCurrentIrpStackLocation(Next)->FileObject == PeekContext)
      return Next;
  }
  return NULL;
}

static VOID SerialAcquire(PIO_CSQ Csq, PKIRQL Irql) { KeAcquireSpinLock(&SerialQueue(Csq)->Lock, Irql); }
static VOID SerialRelease(PIO_CSQ Csq, KIRQL Irql) { KeReleaseSpinLock(&SerialQueue(Csq)->Lock, Irql); }

/* Without the lock. The next one's turn has come, perhaps. */
static VOID SerialCancelled(PIO_CSQ Csq, PIRP Irp) {
  PSERIAL_QUEUE Queue = SerialQueue(Csq);
  PSERIAL_PORT Port = Queue->Port;
  SerialServe(Queue); /* while the request still keeps the port */
  SerialFinish(Port, Irp, STATUS_CANCELLED, Irp->IoStatus.Information);
}

/* -- what the driver calls ------------------------------------------------------------------------------------------------------------------ */

/* <= DISPATCH_LEVEL; the remove lock was acquired for the request. */
NTSTATUS SerialEnqueue(PSERIAL_QUEUE Queue, PIRP Irp) {
  PSERIAL_PORT Port = Queue->Port;
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Queue); /* once it is queued, the request may be done, and its own hold gone */
  if (!NT_SUCCESS(Status)) return SerialFinish(Port, Irp, Status, 0);
  Irp->IoStatus.Information = 0;
  Irp->Tail.Overlay.DriverContext[1] = NULL;
  SerialMarkDone(Irp, STATUS_PENDING);
  Status = IoCsqInsertIrpEx(&Queue->Csq, Irp, NULL, NULL);
  if (NT_SUCCESS(Status)) {
    SerialServe(Queue);
    Status = STATUS_PENDING;
  } else {
    SerialFinish(Port, Irp, Status, 0);
  }
  IoReleaseRemoveLock(&Port->RemoveLock, Queue);
  return Status;
}

/* With the lock held. */
PIRP SerialFirst(PSERIAL_QUEUE Queue) { return IsListEmpty(&Queue->Irps) ? NULL : SerialIrp(Queue->Irps.Flink); }

/* <= DISPATCH_LEVEL. FALSE: there is none that is done; one that is being cancelled is left to that. */
BOOLEAN SerialFinishDone(PSERIAL_QUEUE Queue) {
  PIRP Irp = IoCsqRemoveNextIrp(&Queue->Csq, OnlyDone);
  if (Irp == NULL) return FALSE;
  SerialFinish(Queue->Port, Irp, SerialStatus(Irp), Irp->IoStatus.Information);
  return TRUE;
}

/* <= DISPATCH_LEVEL. Works on the first request, and the next, for as long as they get done by it. */
VOID SerialServe(PSERIAL_QUEUE Queue) {
  PSERIAL_PORT Port = Queue->Port;
  BOOLEAN Done;
  do {
    KIRQL OldIrql;
    PIRP Irp;
    KeAcquireSpinLock(&Queue->Lock, &OldIrql);
    Irp = Port->Started ? SerialFirst(Queue) : NULL;
    Done = FALSE;
    if (Irp != NULL)
      Done = SerialIsDone(Irp) || (Queue == &Port->Reads    ? SerialFeedRead(Port, Irp)
                                   : Queue == &Port->Writes ? SerialFeedWrite(Port, Irp)
                                                            : SerialFeedWait(Port, Irp));
    KeReleaseSpinLock(&Queue->Lock, OldIrql);
  } while (Done && SerialFinishDone(Queue));
}

/* <= DISPATCH_LEVEL. Those of a file, or all. */
VOID SerialAbort(PSERIAL_QUEUE Queue, PFILE_OBJECT File, NTSTATUS Status) {
  PIRP Irp;
  while ((Irp = IoCsqRemoveNextIrp(&Queue->Csq, File)) != NULL) SerialFinish(Queue->Port, Irp, Status, Irp->IoStatus.Information);
}

/* In this order, always. */
VOID SerialLockAll(PSERIAL_PORT Port, PKIRQL OldIrql) {
  KeAcquireSpinLock(&Port->Reads.Lock, OldIrql);
  KeAcquireSpinLockAtDpcLevel(&Port->Writes.Lock);
  KeAcquireSpinLockAtDpcLevel(&Port->Waits.Lock);
}

VOID SerialUnlockAll(PSERIAL_PORT Port, KIRQL OldIrql) {
  KeReleaseSpinLockFromDpcLevel(&Port->Waits.Lock);
  KeReleaseSpinLockFromDpcLevel(&Port->Writes.Lock);
  KeReleaseSpinLock(&Port->Reads.Lock, OldIrql);
}
