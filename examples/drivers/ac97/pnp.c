/* The life of a card: added, started with resources, stopped for new ones, unplugged or removed. */
#include "ac97.h"

static VOID Ac97Name(PUNICODE_STRING Name, PWCHAR Buffer, PCWSTR Folder, WCHAR Digit) {
  RtlInitEmptyUnicodeString(Name, Buffer, AC97_NAME_LENGTH * sizeof(WCHAR));
  RtlAppendUnicodeToString(Name, Folder);
  RtlAppendUnicodeToString(Name, L"Ac97_0");
  Name->Buffer[Name->Length / sizeof(WCHAR) - 1] = Digit;
}

/* \Device\Ac97_0 for the first card, up to ten of them; applications say \\.\Ac97_0. */
NTSTATUS Ac97AddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
  PDEVICE_OBJECT DeviceObject;
  PAC97_CARD Card;
  UNICODE_STRING DeviceName;
  WCHAR Buffer[AC97_NAME_LENGTH];
  WCHAR Digit = L'0';
  NTSTATUS Status;
  do {
    Ac97Name(&DeviceName, Buffer, L"\\Device\\", Digit);
    Status = IoCreateDevice(DriverObject, sizeof(AC97_CARD), &DeviceName, FILE_DEVICE_SOUND, FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
  } while (Status == STATUS_OBJECT_NAME_COLLISION && Digit++ < L'9');
  if (!NT_SUCCESS(Status)) return Status;

  Card = Ac97Card(DeviceObject);
  RtlZeroMemory(Card, sizeof(*Card));
  Card->Self = DeviceObject;
  Card->Pdo = PhysicalDeviceObject;
  Card->PeriodBytes = Ac97PeriodFrames * AC97_FRAME_BYTES;
  Card->Ahead = Ac97PeriodsAhead;
  KeInitializeSpinLock(&Card->Lock);
  InitializeListHead(&Card->Writes);
  IoInitializeRemoveLock(&Card->RemoveLock, AC97_TAG, 0, 0);
  KeInitializeTimer(&Card->SilenceTimer);
  KeInitializeDpc(&Card->SilenceDpc, Ac97SilenceDpc, Card);
  IoInitializeDpcRequest(DeviceObject, Ac97DpcForIsr);

  Ac97Name(&Card->Link, Card->LinkName, L"\\DosDevices\\", Digit);
  Status = IoCreateSymbolicLink(&Card->Link, &DeviceName);
  if (NT_SUCCESS(Status)) {
    Card->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Card->Lower == NULL) {
      IoDeleteSymbolicLink(&Card->Link);
      Status = STATUS_NO_SUCH_DEVICE;
    }
  }
  if (!NT_SUCCESS(Status)) {
    IoDeleteDevice(DeviceObject);
    return Status;
  }
  DeviceObject->Flags |= DO_DIRECT_IO | DO_POWER_PAGABLE;
  DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
  return STATUS_SUCCESS;
}

/* One common buffer: the descriptor list, and a buffer for each descriptor. */
static NTSTATUS Ac97AllocateRing(PAC97_CARD Card) {
  DEVICE_DESCRIPTION Description;
  ULONG MapRegisters;
  const ULONG RingBytes = RING_SIZE * sizeof(AC97_DESCRIPTOR);
  RtlZeroMemory(&Description, sizeof(Description));
  Description.Version = DEVICE_DESCRIPTION_VERSION;
  Description.Master = TRUE;
  Description.ScatterGather = TRUE;
  Description.Dma32BitAddresses = TRUE;
  Description.InterfaceType = PCIBus;
  Description.MaximumLength = RingBytes + RING_SIZE * Card->PeriodBytes;
  Card->Adapter = IoGetDmaAdapter(Card->Pdo, &Description, &MapRegisters);
  if (Card->Adapter == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  Card->CommonBytes = Description.MaximumLength;
  Card->Common = Card->Adapter->DmaOperations->AllocateCommonBuffer(Card->Adapter, Card->CommonBytes, &Card->CommonPhysical, TRUE);
  if (Card->Common == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  Card->Ring = (PAC97_DESCRIPTOR)Card->Common;
  Card->Audio = Card->Common + RingBytes;
  return STATUS_SUCCESS;
}

static VOID Ac97FreeRing(PAC97_CARD Card) {
  if (Card->Common != NULL)
    Card->Adapter->DmaOperations->FreeCommonBuffer(Card->Adapter, Card->CommonBytes, Card->CommonPhysical, Card->Common, TRUE);
  if (Card->Adapter != NULL) Card->Adapter->DmaOperations->PutDmaAdapter(Card->Adapter);
  Card->Common = NULL;
  Card->Adapter = NULL;
}

static NTSTATUS Ac97Connect(PAC97_CARD Card) {
  IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
  NTSTATUS Status;
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = CONNECT_LINE_BASED;
  Parameters.LineBased.PhysicalDeviceObject = Card->Pdo;
  Parameters.LineBased.InterruptObject = &Card->Interrupt;
  Parameters.LineBased.ServiceRoutine = Ac97Isr;
  Parameters.LineBased.ServiceContext = Card;
  Status = IoConnectInterruptEx(&Parameters);
  Card->ConnectVersion = Parameters.Version;
  return Status;
}

static VOID Ac97Disconnect(PAC97_CARD Card) {
  IO_DISCONNECT_INTERRUPT_PARAMETERS Parameters;
  if (Card->Interrupt == NULL) return;
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = Card->ConnectVersion;
  Parameters.ConnectionContext.InterruptObject = Card->Interrupt;
  IoDisconnectInterruptEx(&Parameters);
  Card->Interrupt = NULL;
}

/* The way out of every state. The order is what matters: the card is quiet before nobody listens to it, and nothing that could still run
 * (ISR, timer, DPCs) is left when the memory goes that they would use. */
static VOID Ac97Stop(PAC97_CARD Card, AC97_STATE State) {
  KIRQL OldIrql;
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->State = State;
  Card->PeriodsBefore += Card->Done;
  Card->Filled = Card->Pushed = Card->Done = Card->Partial = 0;
  Card->Running = Card->Halted = FALSE;
  KeReleaseSpinLock(&Card->Lock, OldIrql);

  if (Card->Interrupt != NULL && State != Ac97Gone) KeSynchronizeExecution(Card->Interrupt, Ac97Quiet, Card);
  Ac97Disconnect(Card);
  KeCancelTimer(&Card->SilenceTimer);
  KeFlushQueuedDpcs();
  Ac97FreeRing(Card);
}

/* Two port ranges, mixer then bus master, and an interrupt, which IoConnectInterruptEx finds by itself. */
static NTSTATUS Ac97Start(PAC97_CARD Card, PCM_RESOURCE_LIST Resources) {
  LIST_ENTRY Finished;
  KIRQL OldIrql;
  ULONG Index, Ports = 0, Interrupts = 0;
  NTSTATUS Status;
  if (Resources == NULL || Resources->Count == 0) return STATUS_DEVICE_CONFIGURATION_ERROR;
  for (Index = 0; Index < Resources->List[0].PartialResourceList.Count; ++Index) {
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &Resources->List[0].PartialResourceList.PartialDescriptors[Index];
    if (Descriptor->Type == CmResourceTypeInterrupt) ++Interrupts;
    if (Descriptor->Type != CmResourceTypePort) continue;
    if (Ports == 0) Card->Mixer = (PUCHAR)(ULONG_PTR)Descriptor->u.Port.Start.QuadPart;
    if (Ports == 1) Card->BusMaster = (PUCHAR)(ULONG_PTR)Descriptor->u.Port.Start.QuadPart;
    ++Ports;
  }
  if (Ports < 2 || Interrupts == 0) return STATUS_DEVICE_CONFIGURATION_ERROR;

  Status = Ac97Reset(Card);
  if (NT_SUCCESS(Status)) Status = Ac97AllocateRing(Card);
  if (NT_SUCCESS(Status)) Status = Ac97Connect(Card);
  if (!NT_SUCCESS(Status)) {
    Ac97FreeRing(Card);
    return Status;
  }
  InitializeListHead(&Finished);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->State = Ac97Started;
  Ac97Serve(Card, &Finished); /* writes that waited while the card was stopped */
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97CompleteFinished(Card, &Finished);
  return STATUS_SUCCESS;
}

static NTSTATUS Ac97Remove(PAC97_CARD Card, PIRP Irp) {
  PDEVICE_OBJECT Lower = Card->Lower;
  KIRQL OldIrql;
  NTSTATUS Status;
  if (Card->State == Ac97Started) Ac97Stop(Card, Ac97NotStarted);
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  Card->State = Ac97Gone;
  KeReleaseSpinLock(&Card->Lock, OldIrql);
  Ac97CancelQueued(Card, NULL, STATUS_DEVICE_REMOVED);
  IoReleaseRemoveLockAndWait(&Card->RemoveLock, Irp);

  Irp->IoStatus.Status = STATUS_SUCCESS;
  Status = Ac97PassDown(Card, Irp);
  IoDeleteSymbolicLink(&Card->Link);
  IoDetachDevice(Lower);
  IoDeleteDevice(Card->Self);
  return Status;
}

NTSTATUS Ac97Pnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);

  switch (Stack->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the bus first: before it has started the card there are no registers */
      if (!IoForwardIrpSynchronously(Card->Lower, Irp)) {
        Status = STATUS_UNSUCCESSFUL;
      } else {
        Status = Irp->IoStatus.Status;
      }
      if (NT_SUCCESS(Status)) Status = Ac97Start(Card, Stack->Parameters.StartDevice.AllocatedResourcesTranslated);
      Ac97Complete(Irp, Status, 0);
      break;
    case IRP_MN_STOP_DEVICE:
      Ac97Stop(Card, Ac97NotStarted);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = Ac97PassDown(Card, Irp);
      break;
    case IRP_MN_SURPRISE_REMOVAL:
      Ac97Stop(Card, Ac97Gone);
      Ac97CancelQueued(Card, NULL, STATUS_DEVICE_REMOVED);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = Ac97PassDown(Card, Irp);
      break;
    case IRP_MN_REMOVE_DEVICE:
      return Ac97Remove(Card, Irp); /* gives the remove lock back itself */
    case IRP_MN_QUERY_REMOVE_DEVICE:
      if (Card->Opens != 0) {
        Status = Ac97Complete(Irp, STATUS_DEVICE_BUSY, 0);
        break;
      }
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = Ac97PassDown(Card, Irp);
      break;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = Ac97PassDown(Card, Irp);
      break;
    default:
      Status = Ac97PassDown(Card, Irp);
  }
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}
