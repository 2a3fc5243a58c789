#include "precomp.h"
#include <initguid.h>
#include "pnp.tmh"

// {2f9ac3a1-40c6-4e4d-8f5e-60f3c1b9a1d0}
DEFINE_GUID(GUID_DEVINTERFACE_PULSE, 0x2f9ac3a1, 0x40c6, 0x4e4d, 0x8f, 0x5e, 0x60, 0xf3, 0xc1, 0xb9, 0xa1, 0xd0);

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, PulseAddDevice)
#pragma alloc_text(PAGE, PulsePnp)
#endif

static VOID PulseLog(PDEVICE_OBJECT DeviceObject, NTSTATUS Code, NTSTATUS FinalStatus)
{
    PIO_ERROR_LOG_PACKET packet = (PIO_ERROR_LOG_PACKET)IoAllocateErrorLogEntry(DeviceObject, (UCHAR)sizeof(IO_ERROR_LOG_PACKET));

    if (packet != NULL) {
        RtlZeroMemory(packet, sizeof(*packet));
        packet->ErrorCode = Code;
        packet->FinalStatus = FinalStatus;
        IoWriteErrorLogEntry(packet);
    }
}

/* HKR\Parameters: Retries. */
static VOID PulseReadSettings(PDEVICE_EXTENSION DevExt)
{
    HANDLE                         key;
    UNICODE_STRING                 name;
    UCHAR                          buffer[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
    PKEY_VALUE_PARTIAL_INFORMATION value = (PKEY_VALUE_PARTIAL_INFORMATION)buffer;
    ULONG                          length;

    DevExt->Retries = 3;
    if (!NT_SUCCESS(IoOpenDeviceRegistryKey(DevExt->PhysicalDeviceObject, PLUGPLAY_REGKEY_DEVICE, KEY_READ, &key))) {
        return;
    }
    RtlInitUnicodeString(&name, L"Retries");
    if (NT_SUCCESS(ZwQueryValueKey(key, &name, KeyValuePartialInformation, value, sizeof(buffer), &length)) && value->Type == REG_DWORD) {
        DevExt->Retries = *(PULONG)value->Data;
    }
    ZwClose(key);
}

_Use_decl_annotations_
NTSTATUS
PulseAddDevice(
    PDRIVER_OBJECT DriverObject,
    PDEVICE_OBJECT PhysicalDeviceObject
    )
{
    PDEVICE_OBJECT    deviceObject;
    PDEVICE_EXTENSION devExt;
    NTSTATUS          status;

    PAGED_CODE();
    status = IoCreateDevice(DriverObject, sizeof(DEVICE_EXTENSION), NULL, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &deviceObject);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    devExt = (PDEVICE_EXTENSION)deviceObject->DeviceExtension;
    RtlZeroMemory(devExt, sizeof(DEVICE_EXTENSION));
    devExt->Self = deviceObject;
    devExt->PhysicalDeviceObject = PhysicalDeviceObject;
    devExt->DevicePowerState = PowerDeviceD3;
    IoInitializeRemoveLock(&devExt->RemoveLock, PULSECARD_POOL_TAG, 1, 100);
    KeInitializeSpinLock(&devExt->InterruptLock);
    IoInitializeDpcRequest(deviceObject, PulseDpcForIsr);
    IoSetStartIoAttributes(deviceObject, TRUE, FALSE);

    devExt->NextLowerDriver = IoAttachDeviceToDeviceStack(deviceObject, PhysicalDeviceObject);
    if (devExt->NextLowerDriver == NULL) {
        IoDeleteDevice(deviceObject);
        return STATUS_NO_SUCH_DEVICE;
    }
    status = IoRegisterDeviceInterface(PhysicalDeviceObject, &GUID_DEVINTERFACE_PULSE, NULL, &devExt->InterfaceName);
    if (!NT_SUCCESS(status)) {
        IoDetachDevice(devExt->NextLowerDriver);
        IoDeleteDevice(deviceObject);
        return status;
    }
    deviceObject->Flags |= DO_BUFFERED_IO | DO_POWER_PAGABLE;
    deviceObject->Flags &= ~DO_DEVICE_INITIALIZING;
    PulseTrace(TRACE_LEVEL_INFORMATION, "device %p", deviceObject);
    return STATUS_SUCCESS;
}

static NTSTATUS PulseStart(PDEVICE_EXTENSION DevExt, PIO_STACK_LOCATION IrpSp)
{
    PCM_PARTIAL_RESOURCE_LIST       list;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR interruptResource = NULL;
    ULONG                           i;
    NTSTATUS                        status;

    if (IrpSp->Parameters.StartDevice.AllocatedResourcesTranslated == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    list = &IrpSp->Parameters.StartDevice.AllocatedResourcesTranslated->List[0].PartialResourceList;
    for (i = 0; i < list->Count; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR resource = &list->PartialDescriptors[i];

        switch (resource->Type) {
        case CmResourceTypeMemory:
            DevExt->RegistersLength = resource->u.Memory.Length;
            DevExt->Registers = (PULONG)MmMapIoSpaceEx(resource->u.Memory.Start, resource->u.Memory.Length, PAGE_READWRITE | PAGE_NOCACHE);
            break;
        case CmResourceTypeInterrupt:
            interruptResource = resource;
            break;
        default:
            break;
        }
    }
    if (DevExt->Registers == NULL || interruptResource == NULL) {
        PulseLog(DevExt->Self, PULSE_NO_REGISTERS, STATUS_DEVICE_CONFIGURATION_ERROR);
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }

    status = IoConnectInterrupt(&DevExt->Interrupt, PulseIsr, DevExt->Self, &DevExt->InterruptLock, interruptResource->u.Interrupt.Vector,
                                (KIRQL)interruptResource->u.Interrupt.Level, (KIRQL)interruptResource->u.Interrupt.Level,
                                (interruptResource->Flags & CM_RESOURCE_INTERRUPT_LATCHED) ? Latched : LevelSensitive,
                                (BOOLEAN)(interruptResource->ShareDisposition == CmResourceShareShared), interruptResource->u.Interrupt.Affinity,
                                FALSE);
    if (!NT_SUCCESS(status)) {
        MmUnmapIoSpace(DevExt->Registers, DevExt->RegistersLength);
        DevExt->Registers = NULL;
        return status;
    }
    PulseReadSettings(DevExt);
    WRITE_REGISTER_ULONG(DevExt->Registers + REG_ENABLE, 1);
    DevExt->PnpState = Started;
    (VOID)IoSetDeviceInterfaceState(&DevExt->InterfaceName, TRUE);
    PulseLog(DevExt->Self, PULSE_STARTED, STATUS_SUCCESS);
    return STATUS_SUCCESS;
}

static VOID PulseStop(PDEVICE_EXTENSION DevExt)
{
    if (DevExt->Interrupt != NULL) {
        WRITE_REGISTER_ULONG(DevExt->Registers + REG_ENABLE, 0);
        IoDisconnectInterrupt(DevExt->Interrupt);
        DevExt->Interrupt = NULL;
        KeFlushQueuedDpcs();
    }
    if (DevExt->Registers != NULL) {
        MmUnmapIoSpace(DevExt->Registers, DevExt->RegistersLength);
        DevExt->Registers = NULL;
    }
}

_Use_decl_annotations_
NTSTATUS
PulsePnp(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION  devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION irpSp = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS           status;

    PAGED_CODE();
    status = IoAcquireRemoveLock(&devExt->RemoveLock, Irp);
    if (!NT_SUCCESS(status)) {
        Irp->IoStatus.Status = status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return status;
    }

    switch (irpSp->MinorFunction) {
    case IRP_MN_START_DEVICE:
        if (IoForwardIrpSynchronously(devExt->NextLowerDriver, Irp)) {
            status = Irp->IoStatus.Status;
        } else {
            status = STATUS_UNSUCCESSFUL;
        }
        if (NT_SUCCESS(status)) {
            status = PulseStart(devExt, irpSp);
        }
        Irp->IoStatus.Status = status;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        IoReleaseRemoveLock(&devExt->RemoveLock, Irp);
        return status;

    case IRP_MN_STOP_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        PulseStop(devExt);
        devExt->PnpState = Stopped;
        (VOID)IoSetDeviceInterfaceState(&devExt->InterfaceName, FALSE);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;

    case IRP_MN_REMOVE_DEVICE:
        PulseStop(devExt);
        devExt->PnpState = Removed;
        (VOID)IoSetDeviceInterfaceState(&devExt->InterfaceName, FALSE);
        IoReleaseRemoveLockAndWait(&devExt->RemoveLock, Irp);
        RtlFreeUnicodeString(&devExt->InterfaceName);
        Irp->IoStatus.Status = STATUS_SUCCESS;
        IoSkipCurrentIrpStackLocation(Irp);
        status = IoCallDriver(devExt->NextLowerDriver, Irp);
        IoDetachDevice(devExt->NextLowerDriver);
        IoDeleteDevice(DeviceObject);
        return status;

    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
        devExt->PnpState = StopPending;
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;

    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        devExt->PnpState = Started;
        Irp->IoStatus.Status = STATUS_SUCCESS;
        break;

    default:
        break;
    }

    IoSkipCurrentIrpStackLocation(Irp);
    status = IoCallDriver(devExt->NextLowerDriver, Irp);
    IoReleaseRemoveLock(&devExt->RemoveLock, Irp);
    return status;
}

_Use_decl_annotations_
NTSTATUS
PulsePower(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;

    PoStartNextPowerIrp(Irp);
    IoSkipCurrentIrpStackLocation(Irp);
    return PoCallDriver(devExt->NextLowerDriver, Irp);
}

_Use_decl_annotations_
NTSTATUS
PulseSystemControl(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;

    IoSkipCurrentIrpStackLocation(Irp);
    return IoCallDriver(devExt->NextLowerDriver, Irp);
}
