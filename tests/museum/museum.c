/* A driver's life, and what it needs of the card: the same for all. */
#include "museum.h"

DRIVER_INITIALIZE DriverEntry;

static PCARD CardOf(PDEVICE Device) { return (PCARD)Device; }
static PDEVICE DeviceOf(PDEVICE_OBJECT DeviceObject) { return (PDEVICE)DeviceObject->DeviceExtension; }

/* -- the card ------------------------------------------------------------------------------------------------------------------------------- */

VOID EnableCard(PDEVICE Device) { WRITE_REGISTER_ULONG(CardOf(Device)->Registers + CARD_CONTROL, CARD_ENABLED); }

VOID QuietCard(PDEVICE Device) {
  const PCARD Card = CardOf(Device);
  KIRQL OldIrql = PASSIVE_LEVEL;
  if (Card->Connected != 0) OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
  WRITE_REGISTER_ULONG(Card->Registers + CARD_CONTROL, 0);
  WRITE_REGISTER_ULONG(Card->Registers + CARD_STATUS, CARD_PULSE);
  if (Card->Connected != 0) KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
}

VOID RingDoorbell(PDEVICE Device, ULONG Microseconds) { WRITE_REGISTER_ULONG(CardOf(Device)->Registers + CARD_DOORBELL, Microseconds); }

BOOLEAN TakePulse(PDEVICE Device, PULONG Value) {
  const PULONG Registers = CardOf(Device)->Registers;
  const ULONG Status = READ_REGISTER_ULONG(Registers + CARD_STATUS);
  if (Status == CARD_GONE || (Status & CARD_PULSE) == 0) return FALSE;
  *Value = READ_REGISTER_ULONG(Registers + CARD_DATA);
  WRITE_REGISTER_ULONG(Registers + CARD_STATUS, CARD_PULSE);
  return TRUE;
}

VOID MaskCard(PDEVICE Device) { WRITE_REGISTER_ULONG(CardOf(Device)->Registers + CARD_CONTROL, CARD_ENABLED | CARD_MASKED); }

VOID UnmaskCard(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  const KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
  if (!CardOf(Device)->Stopped) EnableCard(Device);
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
}

VOID QuietForGood(PDEVICE Device) {
  const KIRQL OldIrql = KeAcquireInterruptSpinLock(Interrupt(Device));
  CardOf(Device)->Stopped = TRUE;
  KeReleaseInterruptSpinLock(Interrupt(Device), OldIrql);
  QuietCard(Device);
}

/* -- the interrupt -------------------------------------------------------------------------------------------------------------------------- */

NTSTATUS ConnectLine(PDEVICE Device, PKSERVICE_ROUTINE Routine) {
  const PCARD Card = CardOf(Device);
  IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
  NTSTATUS Status;
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = CONNECT_LINE_BASED;
  Parameters.LineBased.PhysicalDeviceObject = Card->Pdo;
  Parameters.LineBased.InterruptObject = &Card->Connection.Interrupt;
  Parameters.LineBased.ServiceRoutine = Routine;
  Parameters.LineBased.ServiceContext = Device;
  Card->Connected = CONNECT_LINE_BASED; /* before the first interrupt can come */
  Status = IoConnectInterruptEx(&Parameters);
  if (!NT_SUCCESS(Status)) Card->Connected = 0;
  return Status;
}

NTSTATUS ConnectMessages(PDEVICE Device, PKMESSAGE_SERVICE_ROUTINE Routine, PKSPIN_LOCK Lock) {
  const PCARD Card = CardOf(Device);
  IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
  NTSTATUS Status;
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = CONNECT_MESSAGE_BASED;
  Parameters.MessageBased.PhysicalDeviceObject = Card->Pdo;
  Parameters.MessageBased.ConnectionContext.InterruptMessageTable = &Card->Connection.Messages;
  Parameters.MessageBased.MessageServiceRoutine = Routine;
  Parameters.MessageBased.ServiceContext = Device;
  Parameters.MessageBased.SpinLock = Lock;
  Card->Connected = CONNECT_MESSAGE_BASED;
  Status = IoConnectInterruptEx(&Parameters); /* without messages there is no routine for the line, and it fails */
  if (!NT_SUCCESS(Status)) Card->Connected = 0;
  return Status;
}

VOID Disconnect(PDEVICE Device) {
  const PCARD Card = CardOf(Device);
  IO_DISCONNECT_INTERRUPT_PARAMETERS Parameters;
  if (Card->Connected == 0) return;
  Parameters.Version = Card->Connected;
  Parameters.ConnectionContext.Generic = Card->Connection.Generic;
  IoDisconnectInterruptEx(&Parameters);
  Card->Connected = 0;
}

PKINTERRUPT Interrupt(PDEVICE Device) {
  const PCARD Card = CardOf(Device);
  return Card->Connected == CONNECT_MESSAGE_BASED ? Card->Connection.Messages->MessageInfo[0].InterruptObject : Card->Connection.Interrupt;
}

BOOLEAN QueueDpcForPulse(PKINTERRUPT InterruptObject, PVOID Context) {
  ULONG Value;
  if (!TakePulse(Context, &Value)) return FALSE;
  KeInsertQueueDpc(&CardOf(Context)->Dpc, NULL, NULL);
  return TRUE;
}

VOID InitializeDpc(PKDPC Dpc, PKDEFERRED_ROUTINE Routine, PDEVICE Device, CCHAR Processor) {
  KeInitializeDpc(Dpc, Routine, Device);
  KeSetTargetProcessorDpc(Dpc, Processor);
}

/* -- threads -------------------------------------------------------------------------------------------------------------------------------- */

LARGE_INTEGER After(ULONG Milliseconds) {
  LARGE_INTEGER Time;
  Time.QuadPart = -10000LL * Milliseconds;
  return Time;
}

VOID Sleep(ULONG Milliseconds) {
  LARGE_INTEGER Interval = After(Milliseconds);
  KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}

BOOLEAN WaitFor(PVOID Object, ULONG Milliseconds) {
  LARGE_INTEGER Limit = After(Milliseconds);
  return KeWaitForSingleObject(Object, Executive, KernelMode, FALSE, &Limit) == STATUS_SUCCESS;
}

CCHAR OtherProcessor(VOID) { return KeQueryActiveProcessorCount(NULL) > 1 ? 1 : 0; }

static KSTART_ROUTINE ThreadMain;
static VOID ThreadMain(PVOID Context) {
  const PTHREAD Thread = Context;
  KeSetSystemAffinityThread((KAFFINITY)1 << Thread->Processor % KeQueryActiveProcessorCount(NULL));
  Thread->Routine(Thread->Device);
  PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS StartThread(PDEVICE Device, THREAD_ROUTINE* Routine, ULONG Processor) {
  PTHREAD Thread = CardOf(Device)->Threads;
  HANDLE Handle;
  NTSTATUS Status;
  while (Thread->Object != NULL) ++Thread;
  Thread->Device = Device;
  Thread->Routine = Routine;
  Thread->Processor = Processor;
  Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, ThreadMain, Thread);
  if (!NT_SUCCESS(Status)) return Status;
  Status = ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, (PVOID*)&Thread->Object, NULL);
  ZwClose(Handle);
  return Status;
}

VOID JoinThreads(PDEVICE Device) {
  ULONG Index;
  for (Index = 0; Index < MOST_THREADS; ++Index) {
    const PTHREAD Thread = &CardOf(Device)->Threads[Index];
    if (Thread->Object == NULL) continue;
    KeWaitForSingleObject(Thread->Object, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Thread->Object);
    Thread->Object = NULL;
  }
}

/* -- the usual start and end ---------------------------------------------------------------------------------------------------------------- */

NTSTATUS ConnectAndEnable(PDEVICE Device, PKSERVICE_ROUTINE Routine, THREAD_ROUTINE* Thread) {
  const NTSTATUS Status = ConnectLine(Device, Routine);
  if (!NT_SUCCESS(Status)) return Status;
  EnableCard(Device);
  return Thread != NULL ? StartThread(Device, Thread, 1) : STATUS_SUCCESS;
}

VOID StopAll(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
}

/* -- records -------------------------------------------------------------------------------------------------------------------------------- */

/* Of a card that is quiet. */
static VOID FreeRecords(PDEVICE Device) {
  const PCARD Card = CardOf(Device);
  if (Card->Ring != NULL) {
    WRITE_REGISTER_ULONG(Card->Registers + CARD_RING, 0);
    READ_REGISTER_ULONG(Card->Registers + CARD_RING); /* comes back behind the last that it has written */
    Card->Adapter->DmaOperations->FreeCommonBuffer(Card->Adapter, RECORDS * sizeof(RECORD), Card->RingAddress, Card->Ring, FALSE);
  }
  if (Card->Adapter != NULL) Card->Adapter->DmaOperations->PutDmaAdapter(Card->Adapter);
  Card->Ring = NULL;
  Card->Adapter = NULL;
}

/* The card is told of it. */
static NTSTATUS MakeRecords(PDEVICE Device) {
  const PCARD Card = CardOf(Device);
  DEVICE_DESCRIPTION Description;
  ULONG MapRegisters;
  RtlZeroMemory(&Description, sizeof(Description));
  Description.Version = DEVICE_DESCRIPTION_VERSION;
  Description.Master = TRUE;
  Description.ScatterGather = TRUE;
  Description.Dma32BitAddresses = TRUE;
  Description.InterfaceType = PCIBus;
  Description.MaximumLength = RECORDS * sizeof(RECORD);
  Card->Adapter = IoGetDmaAdapter(Card->Pdo, &Description, &MapRegisters);
  if (Card->Adapter == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  Card->Ring = Card->Adapter->DmaOperations->AllocateCommonBuffer(Card->Adapter, RECORDS * sizeof(RECORD), &Card->RingAddress, FALSE);
  if (Card->Ring == NULL) {
    FreeRecords(Device);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  RtlZeroMemory(Card->Ring, RECORDS * sizeof(RECORD));
  WRITE_REGISTER_ULONG(Card->Registers + CARD_RING, Card->RingAddress.LowPart);
  return STATUS_SUCCESS;
}

NTSTATUS StartRecords(PDEVICE Device, PKDEFERRED_ROUTINE Routine) {
  const NTSTATUS Status = MakeRecords(Device);
  if (!NT_SUCCESS(Status)) return Status;
  InitializeDpc(&CardOf(Device)->Dpc, Routine, Device, 0);
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

VOID StopRecords(PDEVICE Device) {
  StopAll(Device);
  FreeRecords(Device);
}

ULONG TakeRecord(PRECORD Record, ULONG Words, ULONG Pulse) {
  ULONG Word, Wrong = 0;
  if (Words != 1 + (Pulse - 1) % 6) ++Wrong;
  for (Word = 0; Word < Words; ++Word)
    if (Record->Data[Word] != DATA_OF(Pulse) + Word) ++Wrong;
  Record->Done = 0;
  return Wrong;
}

/* -- work items --------------------------------------------------------------------------------------------------------------------------- */

NTSTATUS AllocateWork(PDEVICE Device, PWORK Work) {
  KeInitializeSemaphore(&Work->Ended, 0, MAXLONG);
  Work->Item = IoAllocateWorkItem(CardOf(Device)->Self);
  return Work->Item != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

VOID WaitForWork(PWORK Work) {
  LONG Index;
  for (Index = 0; Index < ReadAcquire(&Work->Runs); ++Index) KeWaitForSingleObject(&Work->Ended, Executive, KernelMode, FALSE, NULL);
}

/* -- requests of its own -------------------------------------------------------------------------------------------------------------------- */

PIRP NewRequest(PDEVICE Device, PIO_COMPLETION_ROUTINE Done, PVOID Context) {
  const PDEVICE_OBJECT Self = CardOf(Device)->Self;
  PIRP Irp = IoAllocateIrp(Self->StackSize, FALSE);
  if (Irp == NULL) return NULL;
  IoGetNextIrpStackLocation(Irp)->MajorFunction = IRP_MJ_INTERNAL_DEVICE_CONTROL;
  IoSetCompletionRoutine(Irp, Done, Context, TRUE, TRUE, TRUE);
  return Irp;
}

NTSTATUS Complete(PIRP Irp, NTSTATUS Status) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = 0;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

static DRIVER_DISPATCH MuseumControl;
static NTSTATUS MuseumControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  return Parts.Control != NULL ? Parts.Control(DeviceOf(DeviceObject), Irp) : Complete(Irp, STATUS_INVALID_DEVICE_REQUEST);
}

/* -- a device's life: PnP requests come one at a time --------------------------------------------------------------------------------------- */

static NTSTATUS Map(PCARD Card, PCM_RESOURCE_LIST Resources) {
  ULONG Index;
  for (Index = 0; Resources != NULL && Index < Resources->List[0].PartialResourceList.Count; ++Index) {
    const PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &Resources->List[0].PartialResourceList.PartialDescriptors[Index];
    if (Descriptor->Type != CmResourceTypeMemory) continue;
    Card->RegisterBytes = Descriptor->u.Memory.Length;
    Card->Registers = MmMapIoSpace(Descriptor->u.Memory.Start, Card->RegisterBytes, MmNonCached);
  }
  return Card->Registers != NULL ? STATUS_SUCCESS : STATUS_DEVICE_CONFIGURATION_ERROR;
}

static VOID Leave(PDEVICE Device) {
  const PCARD Card = CardOf(Device);
  if (Card->Started) Parts.Stop(Device);
  Card->Started = FALSE;
  if (Card->Registers != NULL) MmUnmapIoSpace(Card->Registers, Card->RegisterBytes);
  Card->Registers = NULL;
}

static NTSTATUS Begin(PDEVICE Device, PIRP Irp) {
  const PCARD Card = CardOf(Device);
  NTSTATUS Status = IoForwardIrpSynchronously(Card->Lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
  if (NT_SUCCESS(Status)) Status = Map(Card, IoGetCurrentIrpStackLocation(Irp)->Parameters.StartDevice.AllocatedResourcesTranslated);
  if (NT_SUCCESS(Status)) {
    QuietCard(Device);
    Card->Started = TRUE;
    Status = Parts.Start(Device);
    if (!NT_SUCCESS(Status)) Leave(Device);
  }
  return Complete(Irp, Status);
}

static NTSTATUS Pass(PCARD Card, PIRP Irp) {
  IoSkipCurrentIrpStackLocation(Irp);
  return IoCallDriver(Card->Lower, Irp);
}

static DRIVER_DISPATCH MuseumPnp;
static NTSTATUS MuseumPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  const PDEVICE Device = DeviceOf(DeviceObject);
  const PCARD Card = CardOf(Device);
  NTSTATUS Status;
  switch (IoGetCurrentIrpStackLocation(Irp)->MinorFunction) {
    case IRP_MN_START_DEVICE: return Begin(Device, Irp);
    case IRP_MN_QUERY_STOP_DEVICE: return Complete(Irp, STATUS_UNSUCCESSFUL); /* one life is enough */
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE: Irp->IoStatus.Status = STATUS_SUCCESS; return Pass(Card, Irp);
    case IRP_MN_SURPRISE_REMOVAL:
      Leave(Device);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      return Pass(Card, Irp);
    case IRP_MN_REMOVE_DEVICE:
      Leave(Device);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = Pass(Card, Irp);
      IoDetachDevice(Card->Lower);
      IoDeleteDevice(DeviceObject);
      return Status;
    default: return Pass(Card, Irp);
  }
}

static DRIVER_DISPATCH MuseumPower;
static NTSTATUS MuseumPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  const PDEVICE Device = DeviceOf(DeviceObject);
  const PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  if (Parts.Power != NULL && CardOf(Device)->Started && Stack->MinorFunction == IRP_MN_SET_POWER && Stack->Parameters.Power.Type == SystemPowerState)
    Parts.Power(Device, Stack->Parameters.Power.State.SystemState != PowerSystemWorking);
  PoStartNextPowerIrp(Irp);
  IoSkipCurrentIrpStackLocation(Irp);
  return PoCallDriver(CardOf(DeviceOf(DeviceObject))->Lower, Irp);
}

static DRIVER_DISPATCH MuseumSystemControl;
static NTSTATUS MuseumSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) { return Pass(CardOf(DeviceOf(DeviceObject)), Irp); }

static DRIVER_ADD_DEVICE MuseumAddDevice;
static NTSTATUS MuseumAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
  PDEVICE_OBJECT DeviceObject;
  PCARD Card;
  const NTSTATUS Status = IoCreateDevice(DriverObject, Parts.DeviceBytes, NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
  if (!NT_SUCCESS(Status)) return Status;
  Card = CardOf(DeviceOf(DeviceObject));
  RtlZeroMemory(Card, Parts.DeviceBytes);
  Card->Self = DeviceObject;
  Card->Pdo = PhysicalDeviceObject;
  Card->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
  if (Card->Lower == NULL) {
    IoDeleteDevice(DeviceObject);
    return STATUS_NO_SUCH_DEVICE;
  }
  DeviceObject->Flags |= DO_POWER_PAGABLE;
  DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
  return STATUS_SUCCESS;
}

static DRIVER_UNLOAD MuseumUnload;
static VOID MuseumUnload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverExtension->AddDevice = MuseumAddDevice;
  DriverObject->DriverUnload = MuseumUnload;
  DriverObject->MajorFunction[IRP_MJ_PNP] = MuseumPnp;
  DriverObject->MajorFunction[IRP_MJ_POWER] = MuseumPower;
  DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = MuseumSystemControl;
  DriverObject->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = MuseumControl;
  return STATUS_SUCCESS;
}
