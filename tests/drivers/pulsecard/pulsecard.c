#include "Precomp.h"
#include "PulseCard.tmh"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, PulseUnload)
#endif

_Use_decl_annotations_
NTSTATUS
DriverEntry(
    PDRIVER_OBJECT  DriverObject,
    PUNICODE_STRING RegistryPath
    )
{
    WPP_INIT_TRACING(DriverObject, RegistryPath);
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    PulseTrace(TRACE_LEVEL_INFORMATION, "loading from %wZ", RegistryPath);

    DriverObject->MajorFunction[IRP_MJ_CREATE] = PulseCreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = PulseCreateClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = PulseCleanup;
    DriverObject->MajorFunction[IRP_MJ_READ] = PulseRead;
    DriverObject->MajorFunction[IRP_MJ_PNP] = PulsePnp;
    DriverObject->MajorFunction[IRP_MJ_POWER] = PulsePower;
    DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = PulseSystemControl;
    DriverObject->DriverStartIo = PulseStartIo;
    DriverObject->DriverExtension->AddDevice = PulseAddDevice;
    DriverObject->DriverUnload = PulseUnload;
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
VOID
PulseUnload(
    PDRIVER_OBJECT DriverObject
    )
{
    PAGED_CODE();
    NT_ASSERT(DriverObject->DeviceObject == NULL);
    WPP_CLEANUP(DriverObject);
    UNREFERENCED_PARAMETER(DriverObject);
}

_Use_decl_annotations_
NTSTATUS
PulseCreateClose(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
NTSTATUS
PulseRead(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION  devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION irpSp = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS           status;

    status = IoAcquireRemoveLock(&devExt->RemoveLock, Irp);
    if (NT_SUCCESS(status) && irpSp->Parameters.Read.Length < sizeof(ULONG)) {
        IoReleaseRemoveLock(&devExt->RemoveLock, Irp);
        status = STATUS_BUFFER_TOO_SMALL;
    }
    if (!NT_SUCCESS(status)) {
        Irp->IoStatus.Status = status;
        Irp->IoStatus.Information = 0;
        IoCompleteRequest(Irp, IO_NO_INCREMENT);
        return status;
    }

    PulseTrace(TRACE_LEVEL_VERBOSE, "read %p", Irp);
    IoMarkIrpPending(Irp);
    IoStartPacket(DeviceObject, Irp, NULL, PulseCancel);
    return STATUS_PENDING;
}

/* Called with the cancel spin lock held. The current IRP is left to the DPC; one that waits is taken from the queue here. */
_Use_decl_annotations_
VOID
PulseCancel(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;

    if (Irp == DeviceObject->CurrentIrp) {
        KIRQL oldIrql = Irp->CancelIrql;
        DeviceObject->CurrentIrp = NULL;
        IoReleaseCancelSpinLock(DISPATCH_LEVEL);
        IoStartNextPacket(DeviceObject, TRUE);
        KeLowerIrql(oldIrql);
    } else {
        KeRemoveEntryDeviceQueue(&DeviceObject->DeviceQueue, &Irp->Tail.Overlay.DeviceQueueEntry);
        IoReleaseCancelSpinLock(Irp->CancelIrql);
    }
    Irp->IoStatus.Status = STATUS_CANCELLED;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&devExt->RemoveLock, Irp);
}

/* The queue is emptied for the handle that goes away. */
_Use_decl_annotations_
NTSTATUS
PulseCleanup(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION    devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;
    PKDEVICE_QUEUE_ENTRY entry;
    LIST_ENTRY           cancelled;
    KIRQL                oldIrql;

    InitializeListHead(&cancelled);
    IoAcquireCancelSpinLock(&oldIrql);
    /* A removal from the empty queue would say that the device is idle. */
    while (!IsListEmpty(&DeviceObject->DeviceQueue.DeviceListHead)) {
        PIRP waiting;
        entry = KeRemoveByKeyDeviceQueueIfBusy(&DeviceObject->DeviceQueue, 0);
        waiting = CONTAINING_RECORD(entry, IRP, Tail.Overlay.DeviceQueueEntry);
        (VOID)IoSetCancelRoutine(waiting, NULL);
        InsertTailList(&cancelled, &waiting->Tail.Overlay.ListEntry);
    }
    IoReleaseCancelSpinLock(oldIrql);

    while (!IsListEmpty(&cancelled)) {
        PIRP waiting = CONTAINING_RECORD(RemoveHeadList(&cancelled), IRP, Tail.Overlay.ListEntry);
        waiting->IoStatus.Status = STATUS_CANCELLED;
        waiting->IoStatus.Information = 0;
        IoCompleteRequest(waiting, IO_NO_INCREMENT);
        IoReleaseRemoveLock(&devExt->RemoveLock, waiting);
    }

    Irp->IoStatus.Status = STATUS_SUCCESS;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
VOID
PulseStartIo(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;

    UNREFERENCED_PARAMETER(Irp);
    WRITE_REGISTER_ULONG(devExt->Registers + REG_TRIGGER, 1);
}

_Use_decl_annotations_
BOOLEAN
PulseIsr(
    PKINTERRUPT Interrupt,
    PVOID       ServiceContext
    )
{
    PDEVICE_OBJECT    deviceObject = (PDEVICE_OBJECT)ServiceContext;
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)deviceObject->DeviceExtension;
    ULONG             status;

    UNREFERENCED_PARAMETER(Interrupt);
    status = READ_REGISTER_ULONG(devExt->Registers + REG_STATUS);
    if (status == 0 || status == MAXULONG) {
        return FALSE;
    }
    WRITE_REGISTER_ULONG(devExt->Registers + REG_STATUS, status);
    devExt->InterruptStatus |= status;
    IoRequestDpc(deviceObject, deviceObject->CurrentIrp, NULL);
    return TRUE;
}

_Use_decl_annotations_
BOOLEAN
PulseTakeStatus(
    PVOID SynchronizeContext
    )
{
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)SynchronizeContext;
    BOOLEAN           seen = (BOOLEAN)(devExt->InterruptStatus != 0);

    devExt->InterruptStatus = 0;
    return seen;
}

_Use_decl_annotations_
VOID
PulseDpcForIsr(
    PKDPC          Dpc,
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp,
    PVOID          Context
    )
{
    PDEVICE_EXTENSION devExt = (PDEVICE_EXTENSION)DeviceObject->DeviceExtension;
    KIRQL             cancelIrql;
    PIRP              current;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Irp);
    UNREFERENCED_PARAMETER(Context);

    if (!KeSynchronizeExecution(devExt->Interrupt, PulseTakeStatus, devExt)) {
        return;
    }

    /* Whoever clears the cancel routine first completes the request. */
    IoAcquireCancelSpinLock(&cancelIrql);
    current = DeviceObject->CurrentIrp;
    if (current != NULL && IoSetCancelRoutine(current, NULL) == NULL) {
        current = NULL;
    }
    IoReleaseCancelSpinLock(cancelIrql);
    if (current == NULL) {
        return;
    }

    *(PULONG)current->AssociatedIrp.SystemBuffer = READ_REGISTER_ULONG(devExt->Registers + REG_COUNT);
    current->IoStatus.Status = STATUS_SUCCESS;
    current->IoStatus.Information = sizeof(ULONG);
    IoStartNextPacket(DeviceObject, TRUE);
    IoCompleteRequest(current, IO_SERIAL_INCREMENT);
    IoReleaseRemoveLock(&devExt->RemoveLock, current);
}
