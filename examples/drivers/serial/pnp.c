/* The life of a port: added, started with resources, stopped, removed or pulled out. \\.\COM1, \\.\COM2, … in the order in which they are added. */
#include <initguid.h>

#include "serial.h"

#include <ntstrsafe.h>
#include <wdmguid.h>

#include "seriallog.h"

static volatile LONG SerialPorts;

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, SerialAddDevice)
#pragma alloc_text(PAGE, SerialPnp)
#endif

VOID SerialLog(PSERIAL_PORT Port, NTSTATUS Code, NTSTATUS Status) {
  PIO_ERROR_LOG_PACKET Packet = IoAllocateErrorLogEntry(Port->Self, sizeof(IO_ERROR_LOG_PACKET));
  if (Packet == NULL) return;
  RtlZeroMemory(Packet, sizeof(*Packet));
  Packet->ErrorCode = Code;
  Packet->FinalStatus = Status;
  IoWriteErrorLogEntry(Packet);
}

/* PASSIVE_LEVEL. "\Device\Serial0", "\DosDevices\COM1". */
static VOID SerialNames(ULONG Number, PUNICODE_STRING Device, PUNICODE_STRING Link) {
  RtlUnicodeStringPrintf(Device, L"\\Device\\Serial%u", Number - 1);
  RtlUnicodeStringPrintf(Link, L"\\DosDevices\\COM%u", Number);
}

/* Where programs look which ports there are. */
static VOID SerialSetDeviceMap(ULONG Number, BOOLEAN IsThere) {
  DECLARE_UNICODE_STRING_SIZE(Device, 32);
  DECLARE_UNICODE_STRING_SIZE(Link, 32);
  PCWSTR Port;
  SerialNames(Number, &Device, &Link);
  Port = Link_buffer + sizeof(L"\\DosDevices\\") / sizeof(WCHAR) - 1;
  if (IsThere) {
    RtlWriteRegistryValue(RTL_REGISTRY_DEVICEMAP, L"SERIALCOMM", Device_buffer, REG_SZ, (PVOID)Port, (ULONG)(wcslen(Port) + 1) * sizeof(WCHAR));
  } else {
    RtlDeleteRegistryValue(RTL_REGISTRY_DEVICEMAP, L"SERIALCOMM", Device_buffer);
  }
}

NTSTATUS SerialAddDevice(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT PhysicalDeviceObject) {
  DECLARE_UNICODE_STRING_SIZE(DeviceName, 32);
  DECLARE_UNICODE_STRING_SIZE(LinkName, 32);
  PDEVICE_OBJECT DeviceObject;
  PSERIAL_PORT Port;
  NTSTATUS Status;
  const ULONG Number = (ULONG)InterlockedIncrement(&SerialPorts);
  PAGED_CODE();
  SerialNames(Number, &DeviceName, &LinkName);
  Status = IoCreateDevice(DriverObject, sizeof(SERIAL_PORT), &DeviceName, FILE_DEVICE_SERIAL_PORT, FILE_DEVICE_SECURE_OPEN, FALSE, &DeviceObject);
  if (!NT_SUCCESS(Status)) return Status;

  Port = SerialPort(DeviceObject);
  RtlZeroMemory(Port, sizeof(*Port));
  Port->Self = DeviceObject;
  Port->Pdo = PhysicalDeviceObject;
  Port->Number = Number;
  Port->Power = PowerDeviceD3;
  Port->Clock = SerialClock;
  Port->TxFifo = SerialTxFifo;
  Port->FifoControl = (UCHAR)(FCR_ENABLE | (SerialRxTrigger == 1 ? 0x00 : SerialRxTrigger == 4 ? 0x40 : SerialRxTrigger == 8 ? 0x80 : 0xc0));
  Port->LineControl = 3; /* 8 bits, no parity, one stop bit */
  Port->Divisor = (USHORT)max(SerialClock / 16 / 1200, 1);
  Port->RingBytes = SerialRingBytes;
  IoInitializeRemoveLock(&Port->RemoveLock, SERIAL_TAG, 0, 0);
  IoInitializeDpcRequest(DeviceObject, SerialDpcForIsr);
  KeInitializeTimer(&Port->ReadTotalTimer);
  KeInitializeTimer(&Port->ReadIntervalTimer);
  KeInitializeTimer(&Port->WriteTimer);
  KeInitializeDpc(&Port->ReadTotalDpc, SerialReadTotalTimeout, Port);
  KeInitializeDpc(&Port->ReadIntervalDpc, SerialReadIntervalTimeout, Port);
  KeInitializeDpc(&Port->WriteDpc, SerialWriteTimeout, Port);
  SerialInitializeQueue(&Port->Reads, Port);
  SerialInitializeQueue(&Port->Writes, Port);
  SerialInitializeQueue(&Port->Waits, Port);

  Port->Ring = ExAllocatePool2(POOL_FLAG_NON_PAGED, Port->RingBytes, SERIAL_TAG);
  if (Port->Ring == NULL) Status = STATUS_INSUFFICIENT_RESOURCES;
  if (NT_SUCCESS(Status)) Status = IoCreateSymbolicLink(&LinkName, &DeviceName);
  if (NT_SUCCESS(Status)) {
    Port->Lower = IoAttachDeviceToDeviceStack(DeviceObject, PhysicalDeviceObject);
    if (Port->Lower == NULL) Status = STATUS_NO_SUCH_DEVICE;
    if (NT_SUCCESS(Status)) Status = IoRegisterDeviceInterface(PhysicalDeviceObject, &GUID_DEVINTERFACE_COMPORT, NULL, &Port->InterfaceName);
    if (!NT_SUCCESS(Status)) IoDeleteSymbolicLink(&LinkName);
  }
  if (!NT_SUCCESS(Status)) {
    if (Port->Lower != NULL) IoDetachDevice(Port->Lower);
    if (Port->Ring != NULL) ExFreePoolWithTag(Port->Ring, SERIAL_TAG);
    IoDeleteDevice(DeviceObject);
    return Status;
  }
  DeviceObject->Flags |= DO_BUFFERED_IO | DO_POWER_PAGABLE;
  DeviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
  return STATUS_SUCCESS;
}

/* Nobody works on requests, or touches the chip, from here on. What is queued stays. Returns with no service routine, DPC or timer under way. */
static VOID SerialLeave(PSERIAL_PORT Port, BOOLEAN IsThere, BOOLEAN Comes) {
  PKINTERRUPT Interrupt;
  KIRQL OldIrql;
  SerialLockAll(Port, &OldIrql);
  Interrupt = Port->Interrupt;
  if (Interrupt != NULL) KeSynchronizeExecution(Interrupt, IsThere ? SerialQuietChip : SerialIgnoreChip, Port);
  Port->Started = FALSE;
  Port->Interrupt = NULL;
  if (!Comes) Port->Gone = TRUE;
  SerialUnlockAll(Port, OldIrql);
  if (Interrupt != NULL) IoDisconnectInterrupt(Interrupt);
  if (!Comes) {
    SerialAbort(&Port->Reads, NULL, STATUS_DELETE_PENDING);
    SerialAbort(&Port->Writes, NULL, STATUS_DELETE_PENDING);
    SerialAbort(&Port->Waits, NULL, STATUS_DELETE_PENDING);
    KeCancelTimer(&Port->ReadTotalTimer);
    KeCancelTimer(&Port->ReadIntervalTimer);
    KeCancelTimer(&Port->WriteTimer);
  }
  KeFlushQueuedDpcs();
  if (Port->Registers != NULL && Port->InMemory) MmUnmapIoSpace(Port->Registers, Port->RegisterBytes);
  Port->Registers = NULL;
  Port->Power = PowerDeviceD3;
}

static NTSTATUS SerialStart(PSERIAL_PORT Port, PCM_RESOURCE_LIST Resources) {
  PCM_PARTIAL_RESOURCE_DESCRIPTOR Interrupt = NULL;
  KIRQL OldIrql;
  ULONG Index;
  NTSTATUS Status;
  for (Index = 0; Resources != NULL && Index < Resources->List[0].PartialResourceList.Count; ++Index) {
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Descriptor = &Resources->List[0].PartialResourceList.PartialDescriptors[Index];
    switch (Descriptor->Type) {
      case CmResourceTypePort:
        Port->Registers = (PUCHAR)(ULONG_PTR)Descriptor->u.Port.Start.QuadPart;
        Port->InMemory = FALSE;
        break;
      case CmResourceTypeMemory:
        Port->RegisterBytes = Descriptor->u.Memory.Length;
        Port->Registers = MmMapIoSpace(Descriptor->u.Memory.Start, Port->RegisterBytes, MmNonCached);
        Port->InMemory = TRUE;
        break;
      case CmResourceTypeInterrupt: Interrupt = Descriptor; break;
    }
  }
  if (Port->Registers == NULL || Interrupt == NULL) {
    SerialLog(Port, SERIAL_NO_RESOURCES, STATUS_DEVICE_CONFIGURATION_ERROR);
    return STATUS_DEVICE_CONFIGURATION_ERROR;
  }
  if (!SerialIsThere(Port)) {
    SerialLog(Port, SERIAL_NO_UART, STATUS_NO_SUCH_DEVICE);
    return STATUS_NO_SUCH_DEVICE;
  }
  Status = IoConnectInterrupt(&Port->Interrupt, SerialIsr, Port, NULL, Interrupt->u.Interrupt.Vector, (KIRQL)Interrupt->u.Interrupt.Level,
                              (KIRQL)Interrupt->u.Interrupt.Level, (Interrupt->Flags & CM_RESOURCE_INTERRUPT_LATCHED) ? Latched : LevelSensitive,
                              Interrupt->ShareDisposition == CmResourceShareShared, Interrupt->u.Interrupt.Affinity, FALSE);
  if (!NT_SUCCESS(Status)) {
    SerialLog(Port, SERIAL_NO_INTERRUPT, Status);
    return Status;
  }
  SerialLockAll(Port, &OldIrql);
  Port->Started = TRUE;
  Port->Power = PowerDeviceD0;
  KeSynchronizeExecution(Port->Interrupt, SerialProgramChip, Port);
  SerialUnlockAll(Port, OldIrql);
  SerialServe(&Port->Reads); /* requests that have waited for the port */
  SerialServe(&Port->Writes);
  SerialServe(&Port->Waits);
  IoSetDeviceInterfaceState(&Port->InterfaceName, TRUE);
  SerialSetDeviceMap(Port->Number, TRUE);
  return STATUS_SUCCESS;
}

static NTSTATUS SerialRemoveDevice(PSERIAL_PORT Port, PIRP Irp) {
  DECLARE_UNICODE_STRING_SIZE(DeviceName, 32);
  DECLARE_UNICODE_STRING_SIZE(LinkName, 32);
  PDEVICE_OBJECT DeviceObject = Port->Self, Lower = Port->Lower;
  NTSTATUS Status;
  SerialLeave(Port, !Port->Gone, FALSE);
  IoSetDeviceInterfaceState(&Port->InterfaceName, FALSE);
  SerialSetDeviceMap(Port->Number, FALSE);
  IoReleaseRemoveLockAndWait(&Port->RemoveLock, Irp);
  Irp->IoStatus.Status = STATUS_SUCCESS;
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Lower, Irp);
  SerialNames(Port->Number, &DeviceName, &LinkName);
  IoDeleteSymbolicLink(&LinkName);
  RtlFreeUnicodeString(&Port->InterfaceName);
  ExFreePoolWithTag(Port->Ring, SERIAL_TAG);
  IoDetachDevice(Lower);
  IoDeleteDevice(DeviceObject);
  return Status;
}

NTSTATUS SerialPnp(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  PAGED_CODE();
  if (!NT_SUCCESS(Status)) return SerialComplete(Irp, Status, 0);
  switch (Stack->MinorFunction) {
    case IRP_MN_START_DEVICE: /* the bus first: before it has started the port there are no registers */
      Status = IoForwardIrpSynchronously(Port->Lower, Irp) ? Irp->IoStatus.Status : STATUS_UNSUCCESSFUL;
      if (NT_SUCCESS(Status)) {
        Status = SerialStart(Port, Stack->Parameters.StartDevice.AllocatedResourcesTranslated);
        if (!NT_SUCCESS(Status)) SerialLeave(Port, FALSE, TRUE);
      }
      return SerialFinish(Port, Irp, Status, 0);
    case IRP_MN_REMOVE_DEVICE: return SerialRemoveDevice(Port, Irp);
    case IRP_MN_STOP_DEVICE: /* requests wait until it is started again */
      SerialLeave(Port, TRUE, TRUE);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      break;
    case IRP_MN_SURPRISE_REMOVAL:
      SerialLeave(Port, FALSE, FALSE);
      IoSetDeviceInterfaceState(&Port->InterfaceName, FALSE);
      Irp->IoStatus.Status = STATUS_SUCCESS;
      break;
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE: Irp->IoStatus.Status = STATUS_SUCCESS; break;
    default: break;
  }
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Port->Lower, Irp);
  IoReleaseRemoveLock(&Port->RemoveLock, Irp);
  return Status;
}
