/* A driver for a measuring card, with StartIo: requests come one at a time, the I/O manager keeps the others in the device queue.
 *
 *   IRP_MJ_READ --IoStartPacket--> AdcStartIo --> card converts --line--> AdcIsr --IoRequestDpc--> AdcDpcForIsr --> the next sample, or
 *                                                                                                  the request is done and the next one's turn comes
 *   AdcTimer, once a second: a card that does not answer
 *
 * The card's interrupt is a level on a line that it may share: the service routine says FALSE to what its card has not asked for. */
#include "adc.h"

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD AdcUnload;
static DRIVER_DISPATCH AdcSucceed;
static DRIVER_DISPATCH AdcPower;
static DRIVER_DISPATCH AdcSystemControl;
static DRIVER_CANCEL AdcCancel;
static KSYNCHRONIZE_ROUTINE AdcTakeSample;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverExtension->AddDevice = AdcAddDevice;
  DriverObject->DriverUnload = AdcUnload;
  DriverObject->DriverStartIo = AdcStartIo;
  DriverObject->MajorFunction[IRP_MJ_CREATE] = AdcSucceed;
  DriverObject->MajorFunction[IRP_MJ_CLOSE] = AdcSucceed;
  DriverObject->MajorFunction[IRP_MJ_CLEANUP] = AdcCleanup;
  DriverObject->MajorFunction[IRP_MJ_READ] = AdcRead;
  DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = AdcControl;
  DriverObject->MajorFunction[IRP_MJ_PNP] = AdcPnp;
  DriverObject->MajorFunction[IRP_MJ_POWER] = AdcPower;
  DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = AdcSystemControl;
  return STATUS_SUCCESS;
}

static VOID AdcUnload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS AdcComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = Information;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

/* A request that the remove lock counts. */
NTSTATUS AdcFinish(PADC_CARD Card, PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  AdcComplete(Irp, Status, Information);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}

/* -- the card ------------------------------------------------------------------------------------------------------------------------------- */

static VOID AdcConvert(PADC_CARD Card) { /* with the lock */
  Card->SecondsLeft = ADC_SECONDS;
  WRITE_REGISTER_ULONG(Card->Registers + ADC_COMMAND, Card->Channel);
}

/* All ones is a card that was pulled out. */
BOOLEAN AdcIsr(PKINTERRUPT Interrupt, PVOID Context) {
  PADC_CARD Card = Context;
  const ULONG Status = READ_REGISTER_ULONG(Card->Registers + ADC_STATUS);
  UNREFERENCED_PARAMETER(Interrupt);
  if (Status == MAXULONG || (Status & ADC_DONE) == 0) return FALSE;
  Card->Sample = (USHORT)READ_REGISTER_ULONG(Card->Registers + ADC_DATA);
  Card->Done = TRUE;
  WRITE_REGISTER_ULONG(Card->Registers + ADC_STATUS, ADC_DONE);
  IoRequestDpc(Card->Self, NULL, NULL);
  return TRUE;
}

/* TRUE: there was a new one, and the caller has it now. */
static BOOLEAN AdcTakeSample(PVOID Context) {
  PADC_CARD Card = Context;
  const BOOLEAN Done = Card->Done;
  Card->Done = FALSE;
  return Done;
}

/* -- the current request -------------------------------------------------------------------------------------------------------------------- */

/* With the lock: whoever gets it ends it. */
static PIRP AdcTakeCurrent(PADC_CARD Card) {
  PIRP Irp = Card->Current;
  Card->Current = NULL;
  return Irp;
}

/* At DISPATCH_LEVEL, without the lock. What was measured so far is the result. */
static VOID AdcEnd(PADC_CARD Card, PIRP Irp, NTSTATUS Status) {
  IoStartNextPacket(Card->Self, TRUE); /* while the request still keeps the card */
  AdcFinish(Card, Irp, Status, Irp->IoStatus.Information);
}

/* From here on a request is not cancelled: it ends within the time that a conversion may take. */
VOID AdcStartIo(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  BOOLEAN Started;
  KeAcquireSpinLockAtDpcLevel(&Card->Lock);
  Started = Card->Started;
  if (Started) {
    Card->Current = Irp;
    KeSynchronizeExecution(Card->Interrupt, AdcTakeSample, Card); /* what came too late for the last one is nobody's */
    AdcConvert(Card);
  }
  KeReleaseSpinLockFromDpcLevel(&Card->Lock);
  if (!Started) AdcEnd(Card, Irp, STATUS_DEVICE_NOT_READY);
}

VOID AdcDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  PADC_CARD Card = AdcCard(DeviceObject);
  PIRP Done = NULL;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Irp);
  UNREFERENCED_PARAMETER(Context);
  KeAcquireSpinLockAtDpcLevel(&Card->Lock);
  if (Card->Started && KeSynchronizeExecution(Card->Interrupt, AdcTakeSample, Card) && Card->Current != NULL) {
    PIRP Current = Card->Current;
    PUSHORT Samples = Current->AssociatedIrp.SystemBuffer;
    Samples[Current->IoStatus.Information / sizeof(USHORT)] = Card->Sample;
    Current->IoStatus.Information += sizeof(USHORT);
    if (Current->IoStatus.Information == IoGetCurrentIrpStackLocation(Current)->Parameters.Read.Length) {
      Done = AdcTakeCurrent(Card);
    } else {
      AdcConvert(Card);
    }
  }
  KeReleaseSpinLockFromDpcLevel(&Card->Lock);
  if (Done != NULL) AdcEnd(Card, Done, STATUS_SUCCESS);
}

/* At DISPATCH_LEVEL, once a second while the card is started. */
VOID AdcTimer(PDEVICE_OBJECT DeviceObject, PVOID Context) {
  PADC_CARD Card = Context;
  PIRP Late = NULL;
  UNREFERENCED_PARAMETER(DeviceObject);
  KeAcquireSpinLockAtDpcLevel(&Card->Lock);
  if (Card->Current != NULL && Card->SecondsLeft-- == 0) Late = AdcTakeCurrent(Card);
  KeReleaseSpinLockFromDpcLevel(&Card->Lock);
  if (Late != NULL) AdcEnd(Card, Late, STATUS_IO_TIMEOUT);
}

/* PASSIVE_LEVEL; the card is no longer started. The others in the queue find that out in AdcStartIo. */
VOID AdcAbandon(PADC_CARD Card, NTSTATUS Status) {
  KIRQL OldIrql;
  PIRP Irp;
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  KeAcquireSpinLockAtDpcLevel(&Card->Lock);
  Irp = AdcTakeCurrent(Card);
  KeReleaseSpinLockFromDpcLevel(&Card->Lock);
  if (Irp != NULL) AdcEnd(Card, Irp, Status);
  KeLowerIrql(OldIrql);
}

/* -- dispatch routines ---------------------------------------------------------------------------------------------------------------------- */

/* Called with the cancel lock, for requests that wait in the queue. */
static VOID AdcCancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  AdcFinish(Card, Irp, STATUS_CANCELLED, 0);
}

NTSTATUS AdcRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  const ULONG Length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return AdcComplete(Irp, Status, 0);
  if (Length == 0 || Length % sizeof(USHORT) != 0) return AdcFinish(Card, Irp, STATUS_INVALID_PARAMETER, 0);
  Irp->IoStatus.Information = 0;
  IoMarkIrpPending(Irp);
  IoStartPacket(DeviceObject, Irp, NULL, AdcCancel);
  return STATUS_PENDING;
}

NTSTATUS AdcControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  KIRQL OldIrql;
  UCHAR Channel;
  if (Stack->Parameters.DeviceIoControl.IoControlCode != IOCTL_ADC_SET_CHANNEL) return AdcComplete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
  if (Stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(UCHAR)) return AdcComplete(Irp, STATUS_INVALID_PARAMETER, 0);
  Channel = *(PUCHAR)Irp->AssociatedIrp.SystemBuffer;
  if (Channel >= ADC_CHANNELS) return AdcComplete(Irp, STATUS_INVALID_PARAMETER, 0);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->Channel = Channel;
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  return AdcComplete(Irp, STATUS_SUCCESS, 0);
}

/* What a file that goes away has in the queue goes too; the requests of other files keep their places. */
NTSTATUS AdcCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  PFILE_OBJECT File = IoGetCurrentIrpStackLocation(Irp)->FileObject;
  LIST_ENTRY Cancelled;
  PLIST_ENTRY Entry, Next;
  KIRQL OldIrql;
  InitializeListHead(&Cancelled);
  IoAcquireCancelSpinLock(&OldIrql); /* nobody else takes anything out of the middle of the queue */
  for (Entry = DeviceObject->DeviceQueue.DeviceListHead.Flink; Entry != &DeviceObject->DeviceQueue.DeviceListHead; Entry = Next) {
    PIRP Waiting = CONTAINING_RECORD(Entry, IRP, Tail.Overlay.DeviceQueueEntry.DeviceListEntry);
    Next = Entry->Flink;
    if (IoGetCurrentIrpStackLocation(Waiting)->FileObject != File || IoSetCancelRoutine(Waiting, NULL) == NULL) continue;
    if (KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Waiting->Tail.Overlay.DeviceQueueEntry))
      InsertTailList(&Cancelled, &Waiting->Tail.Overlay.ListEntry);
  }
  IoReleaseCancelSpinLock(OldIrql);
  while (!IsListEmpty(&Cancelled)) AdcFinish(Card, CONTAINING_RECORD(RemoveHeadList(&Cancelled), IRP, Tail.Overlay.ListEntry), STATUS_CANCELLED, 0);
  return AdcComplete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS AdcSucceed(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  UNREFERENCED_PARAMETER(DeviceObject);
  return AdcComplete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS AdcPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  PoStartNextPowerIrp(Irp);
  if (!NT_SUCCESS(Status)) return AdcComplete(Irp, Status, 0);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = PoCallDriver(Card->Lower, Irp);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}

static NTSTATUS AdcSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PADC_CARD Card = AdcCard(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return AdcComplete(Irp, Status, 0);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Card->Lower, Irp);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}
