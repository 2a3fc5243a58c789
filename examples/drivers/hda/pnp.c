/* The life of a controller: added, started with resources, connected by its messages, stopped, removed. One controller: \\.\Hda0. */
#include "hda.h"

static UNICODE_STRING DeviceName = RTL_CONSTANT_STRING(L"\\Device\\Hda0");
static UNICODE_STRING LinkName = RTL_CONSTANT_STRING(L"\\DosDevices\\Hda0");

NTSTATUS HdaAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
  PDEVICE_OBJECT DeviceObject;
  PHDA_CONTROLLER Controller;
  NTSTATUS Status =
      IoCreateDevice(DriverObject, sizeof(HDA_CONTROLLER), &DeviceName, FILE_DEVICE_SOUND, FILE_DEVICE_SECURE_OPEN, TRUE, &DeviceObject);
  if (!NT_SUCCESS(Status)) return Status;

  Controller = HdaController(DeviceObject);
  RtlZeroMemory(Controller, sizeof(*Controller));
  Controller->Self = DeviceObject;
  Controller->Pdo = PhysicalDeviceObject;
  Controller->RingBytes = RING_PERIODS * HdaPeriodFrames * FRAME_BYTES;
  KeInitializeSpinLock(&Controller->Lock);
  IoInitializeRemoveLock(&Controller->RemoveLock, HDA_TAG, 0, 0);
  IoInitializeDpcRequest(DeviceObject, HdaDpcForIsr);
  IoSetStartIoAttributes(DeviceObject, TRUE, TRUE);

  Status = IoCreateSymbolicLink(&LinkName, &DeviceName);
  if (NT_SUCCESS(Status)) {
    Controller->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Controller->Lower == NULL) {
      IoDeleteSymbolicLink(&LinkName);
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

/* One common buffer: the ring, and its descriptors behind it. */
static NTSTATUS HdaAllocateRing(PHDA_CONTROLLER Controller) {
  DEVICE_DESCRIPTION Description;
  ULONG MapRegisters;
  RtlZeroMemory(&Description, sizeof(Description));
  Description.Version = DEVICE_DESCRIPTION_VERSION;
  Description.Master = TRUE;
  Description.ScatterGather = TRUE;
  Description.Dma32BitAddresses = TRUE;
  Description.InterfaceType = PCIBus;
  Description.MaximumLength = Controller->RingBytes + RING_PERIODS * sizeof(HDA_DESCRIPTOR);
  Controller->Adapter = IoGetDmaAdapter(Controller->Pdo, &Description, &MapRegisters);
  if (Controller->Adapter == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  Controller->CommonBytes = Description.MaximumLength;
  Controller->Common = Controller->Adapter->DmaOperations->AllocateCommonBuffer(Controller->Adapter, Controller->CommonBytes,
                                                                                &Controller->CommonPhysical, TRUE);
  return Controller->Common != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static VOID HdaFreeRing(PHDA_CONTROLLER Controller) {
  if (Controller->Common != NULL)
    Controller->Adapter->DmaOperations->FreeCommonBuffer(Controller->Adapter, Controller->CommonBytes, Controller->CommonPhysical,
                                                         Controller->Common, TRUE);
  if (Controller->Adapter != NULL) Controller->Adapter->DmaOperations->PutDmaAdapter(Controller->Adapter);
  Controller->Common = NULL;
  Controller->Adapter = NULL;
}

/* By messages; a controller that has none is connected by its line, and Version says so afterwards. */
static NTSTATUS HdaConnect(PHDA_CONTROLLER Controller) {
  IO_CONNECT_INTERRUPT_PARAMETERS Parameters;
  NTSTATUS Status;
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = CONNECT_MESSAGE_BASED;
  Parameters.MessageBased.PhysicalDeviceObject = Controller->Pdo;
  Parameters.MessageBased.ConnectionContext.Generic = &Controller->Connection.Any;
  Parameters.MessageBased.MessageServiceRoutine = HdaMessageIsr;
  Parameters.MessageBased.FallBackServiceRoutine = HdaLineIsr;
  Parameters.MessageBased.ServiceContext = Controller;
  Status = IoConnectInterruptEx(&Parameters);
  Controller->ConnectVersion = Parameters.Version;
  return Status;
}

static VOID HdaDisconnect(PHDA_CONTROLLER Controller) {
  IO_DISCONNECT_INTERRUPT_PARAMETERS Parameters;
  if (Controller->Connection.Any == NULL) return;
  RtlZeroMemory(&Parameters, sizeof(Parameters));
  Parameters.Version = Controller->ConnectVersion;
  Parameters.ConnectionContext.Generic = Controller->Connection.Any;
  IoDisconnectInterruptEx(&Parameters);
  Controller->Connection.Any = NULL;
}

/* The controller is quiet before nobody listens to it, and nothing that could still run is left when the memory goes that it would use. */
static VOID HdaLeave(PHDA_CONTROLLER Controller, BOOLEAN IsThere) {
  KIRQL OldIrql;
  KeAcquireSpinLock(&Controller->Lock, &OldIrql);
  if (Controller->Running && IsThere) HdaStop(Controller);
  Controller->Running = Controller->Started = FALSE;
  KeReleaseSpinLock(&Controller->Lock, OldIrql);
  HdaDisconnect(Controller);
  KeFlushQueuedDpcs();
  HdaAbandon(Controller);
  HdaFreeRing(Controller);
  if (Controller->Registers != NULL) MmUnmapIoSpace(Controller->Registers, Controller->RegisterBytes);
  Controller->Registers = NULL;
}

static NTSTATUS HdaStart(PHDA_CONTROLLER Controller, PCM_RESOURCE_LIST Resources) {
  KIRQL OldIrql;
  ULONG Index;
  NTSTATUS Status;
  if (Resources == NULL || Resources->Count == 0) return STATUS_DEVICE_CONFIGURATION_ERROR;
  for (Index = 0; Index < Resources->List[0].PartialResourceList.Count && Controller->Registers == NULL; ++Index) {
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &Resources->List[0].PartialResourceList.PartialDescriptors[Index];
    if (Descriptor->Type != CmResourceTypeMemory) continue;
    Controller->RegisterBytes = Descriptor->u.Memory.Length;
    Controller->Registers = MmMapIoSpace(Descriptor->u.Memory.Start, Controller->RegisterBytes, MmNonCached);
  }
  if (Controller->Registers == NULL) return STATUS_DEVICE_CONFIGURATION_ERROR;
  Status = HdaReset(Controller);
  if (NT_SUCCESS(Status)) Status = HdaAllocateRing(Controller);
  if (NT_SUCCESS(Status)) Status = HdaConnect(Controller);
  if (!NT_SUCCESS(Status)) {
    HdaLeave(Controller, TRUE);
    return Status;
  }
  KeAcquireSpinLock(&Controller->Lock, &OldIrql);
  Controller->Started = TRUE;
  KeReleaseSpinLock(&Controller->Lock, OldIrql);
  return STATUS_SUCCESS;
}

static NTSTATUS HdaPassDown(PHDA_CONTROLLER Controller, PIRP Irp) {
  IoSkipCurrentIrpStackLocation(Irp);
  return IoCallDriver(Controller->Lower, Irp);
}

NTSTATUS HdaPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  NTSTATUS Status = IoAcquireRemoveLock(&Controller->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return HdaComplete(Irp, Status, 0);
  switch (Stack->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the bus first: before it has started the controller there are no registers */
      Status = IoForwardIrpSynchronously(Controller->Lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
      if (NT_SUCCESS(Status)) Status = HdaStart(Controller, Stack->Parameters.StartDevice.AllocatedResourcesTranslated);
      HdaComplete(Irp, Status, 0);
      break;
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
      HdaLeave(Controller, Stack->MinorFunction == IRP_MN_STOP_DEVICE);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = HdaPassDown(Controller, Irp);
      break;
    case IRP_MN_REMOVE_DEVICE: {
      PDEVICE_OBJECT Lower = Controller->Lower;
      HdaLeave(Controller, TRUE);
      IoReleaseRemoveLockAndWait(&Controller->RemoveLock, Irp);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = HdaPassDown(Controller, Irp);
      IoDeleteSymbolicLink(&LinkName);
      IoDetachDevice(Lower);
      IoDeleteDevice(DeviceObject);
      return Status;
    }
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
      Irp->IoStatus.Status = STATUS_SUCCESS;
      Status = HdaPassDown(Controller, Irp);
      break;
    default: Status = HdaPassDown(Controller, Irp);
  }
  IoReleaseRemoveLock(&Controller->RemoveLock, Irp);
  return Status;
}
