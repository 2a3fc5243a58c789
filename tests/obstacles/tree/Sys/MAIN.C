/*++
Module Name:
    main.c
Environment:
    Kernel mode
--*/
#include "OLDTREE.h"
#include "Main.TMH"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, OldTreeUnload)
#endif

#pragma warning(push)
#pragma warning(disable : 4127)

DECLARE_CONST_UNICODE_STRING(DeviceName, L"\\Device\\OldTree");
DECLARE_CONST_UNICODE_STRING(LinkName, L"\\DosDevices\\OldTree");
DECLARE_CONST_UNICODE_STRING(AnyOne, L"D:P(A;;GA;;;WD)");

ULONG OldTreeCount(OLDTREE_STATE State) { return State == OldTreeBusy ? 1ui32 : 0UL; }

__forceinline static ULONG PoolWorks(VOID)
{
    static const POOL_FLAGS Flags[] = {POOL_FLAG_NON_PAGED, POOL_FLAG_NON_PAGED_EXECUTE, POOL_FLAG_PAGED, POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED,
                                       POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, POOL_FLAG_PAGED | POOL_FLAG_USE_QUOTA};
    ULONG Index, Works = 0;
    PVOID Memory;

    for (Index = 0; Index < ARRAYSIZE(Flags); Index++) {
        Memory = ExAllocatePool2(Flags[Index], 64, OLDTREE_TAG);
        if (Memory != NULL) {
            Works++;
            ExFreePoolWithTag(Memory, OLDTREE_TAG);
        }
    }
    Memory = ExAllocatePoolZero(NonPagedPoolNx, 64, OLDTREE_TAG);
    if (Memory != NULL) {
        Works += ((PUCHAR)Memory)[63] == 0;
        ExFreePool2(Memory, OLDTREE_TAG, NULL, 0);
    }
    Memory = ExAllocatePoolQuotaZero(NonPagedPoolNx | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, 64, OLDTREE_TAG);
    if (Memory != NULL) {
        Works++;
        ExFreePool(Memory);
    }
    Memory = ExAllocatePoolUninitialized(PagedPool, 64, OLDTREE_TAG);
    if (Memory != NULL) {
        Works++;
        ExFreePool(Memory);
    }
    return Works;
}

_Use_decl_annotations_
NTSTATUS
OldTreeControl(
    PDEVICE_OBJECT DeviceObject,
    PIRP           Irp
    )
{
    PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
    POLDTREE_ANSWER    Answer = (POLDTREE_ANSWER)Irp->AssociatedIrp.SystemBuffer;
    NTSTATUS           Status = STATUS_INVALID_DEVICE_REQUEST;

    UNREFERENCED_PARAMETER(DeviceObject);
    Irp->IoStatus.Information = 0;
    if (Stack->Parameters.DeviceIoControl.IoControlCode == IOCTL_OLDTREE_ASK &&
        Stack->Parameters.DeviceIoControl.OutputBufferLength == sizeof(OLDTREE_ANSWER)) {
        (*Answer)FIELD(LongIsFourBytes) = sizeof(long) == 4 && 0xFFFFFFFF == ~0UL;
        Answer->WideIsTwoBytes = sizeof(L'x') == 2;
        Answer->Tag = OLDTREE_TAG;
        Answer->Pool = PoolWorks();
        Answer->Message = (ULONG)OLDTREE_BROKEN;
        Answer->Worker = OldTreeWork(21) + OldTreeCount(OldTreeIdle);
        Trace(TRACE_LEVEL_INFORMATION, "answered %u", Answer->Worker);
        Irp->IoStatus.Information = sizeof(OLDTREE_ANSWER);
        Status = STATUS_SUCCESS;
    }
    Irp->IoStatus.Status = Status;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

_Use_decl_annotations_
NTSTATUS
OldTreeOpenClose(
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
VOID
OldTreeUnload(
    PDRIVER_OBJECT DriverObject
    )
{
    PAGED_CODE();
    IoDeleteSymbolicLink((PUNICODE_STRING)&LinkName);
    IoDeleteDevice(DriverObject->DeviceObject);
    WPP_CLEANUP(DriverObject);
}

_Use_decl_annotations_
NTSTATUS
DriverEntry(
    PDRIVER_OBJECT  DriverObject,
    PUNICODE_STRING RegistryPath
    )
{
    PDEVICE_OBJECT Device;
    NTSTATUS       Status;

    WPP_INIT_TRACING(DriverObject, RegistryPath);
    ExInitializeDriverRuntime(DrvRtPoolNxOptIn);
    UNREFERENCED_PARAMETER(RegistryPath);
    Status = WdmlibIoCreateDeviceSecure(DriverObject, 0, (PUNICODE_STRING)&DeviceName, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE, &AnyOne,
                                        NULL, &Device);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    DriverObject->MajorFunction[IRP_MJ_CREATE] = OldTreeOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = OldTreeOpenClose;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = OldTreeControl;
    DriverObject->DriverUnload = OldTreeUnload;
    TraceEvents(TRACE_LEVEL_INFORMATION, TRACE_INIT, "made %p", Device);
    return IoCreateSymbolicLink((PUNICODE_STRING)&LinkName, (PUNICODE_STRING)&DeviceName);
}
#pragma warning(pop)
