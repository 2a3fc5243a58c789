/*++
Module Name:
    mailbox.c
Abstract:
    A software device. Reads wait, in a cancel-safe queue, for a letter; a letter is written, or made by a timer every so often. Letters that nobody
    waits for are kept, up to a limit.
Environment:
    Kernel mode
--*/
#include <Wdm.h>
#include <Wdmsec.h>
#include <NtStrSafe.h>
#include <stdlib.h>

#define MAILBOX_TAG 'xoBM'
#define MAILBOX_MAX_KEPT 8
#define IOCTL_MAILBOX_POST_EVERY CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS)
#define IOCTL_MAILBOX_COUNT      CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_OUT_DIRECT, FILE_READ_ACCESS)

typedef struct _LETTER {
    LIST_ENTRY Link;
    ULONG Length;
    UCHAR Text[ANYSIZE_ARRAY];
} LETTER, *PLETTER;

typedef struct _MAILBOX {
    IO_CSQ Readers;
    LIST_ENTRY ReaderList;
    KSPIN_LOCK ReaderLock;
    LIST_ENTRY Letters;
    KSPIN_LOCK LetterLock;
    LONG Kept;
    KTIMER Timer;
    KDPC TimerDpc;
    ULONG Posted;
    IO_REMOVE_LOCK RemoveLock;
    UNICODE_STRING Link;
    WCHAR LinkBuffer[32];
} MAILBOX, *PMAILBOX;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD MailboxUnload;
static DRIVER_DISPATCH MailboxOpenClose, MailboxCleanup, MailboxRead, MailboxWrite, MailboxControl;
static KDEFERRED_ROUTINE MailboxTimer;
static IO_CSQ_INSERT_IRP MailboxInsert;
static IO_CSQ_REMOVE_IRP MailboxRemove;
static IO_CSQ_PEEK_NEXT_IRP MailboxPeek;
static IO_CSQ_ACQUIRE_LOCK MailboxLock;
static IO_CSQ_RELEASE_LOCK MailboxUnlock;
static IO_CSQ_COMPLETE_CANCELED_IRP MailboxCancelled;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

/* Gives the letter to the reader and frees it. */
static VOID Deliver(PMAILBOX Box, PIRP Irp, PLETTER Letter)
{
    ULONG room = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;
    ULONG length = min(room, Letter->Length);

    RtlCopyMemory(Irp->AssociatedIrp.SystemBuffer, Letter->Text, length);
    ExFreePoolWithTag(Letter, MAILBOX_TAG);
    (VOID)Complete(Irp, STATUS_SUCCESS, length);
    IoReleaseRemoveLock(&Box->RemoveLock, Irp);
}

static PLETTER TakeLetter(PMAILBOX Box)
{
    PLIST_ENTRY entry = ExInterlockedRemoveHeadList(&Box->Letters, &Box->LetterLock);

    if (entry == NULL) {
        return NULL;
    }
    InterlockedDecrement(&Box->Kept);
    return CONTAINING_RECORD(entry, LETTER, Link);
}

static NTSTATUS Post(PMAILBOX Box, const VOID *Text, ULONG Length)
{
    PLETTER letter;
    PIRP reader;

    letter = (PLETTER)ExAllocatePool2(POOL_FLAG_NON_PAGED, FIELD_OFFSET(LETTER, Text) + Length, MAILBOX_TAG);
    if (letter == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    letter->Length = Length;
    RtlCopyMemory(letter->Text, Text, Length);
    InterlockedIncrement((PLONG)&Box->Posted);

    reader = IoCsqRemoveNextIrp(&Box->Readers, NULL);
    if (reader != NULL) {
        Deliver(Box, reader, letter);
        return STATUS_SUCCESS;
    }
    if (InterlockedIncrement(&Box->Kept) > MAILBOX_MAX_KEPT) {
        InterlockedDecrement(&Box->Kept);
        ExFreePoolWithTag(letter, MAILBOX_TAG);
        return STATUS_BUFFER_OVERFLOW;
    }
    ExInterlockedInsertTailList(&Box->Letters, &letter->Link, &Box->LetterLock);
    return STATUS_SUCCESS;
}

_Use_decl_annotations_
static VOID MailboxTimer(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PDEVICE_OBJECT device = (PDEVICE_OBJECT)DeferredContext;
    PMAILBOX box = (PMAILBOX)device->DeviceExtension;
    CHAR text[24];
    size_t length;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    if (NT_SUCCESS(RtlStringCbPrintfA(text, sizeof(text), "tick %lu", box->Posted)) && NT_SUCCESS(RtlStringCbLengthA(text, sizeof(text), &length))) {
        (VOID)Post(box, text, (ULONG)length);
    }
}

static VOID MailboxInsert(PIO_CSQ Csq, PIRP Irp)
{
    InsertTailList(&CONTAINING_RECORD(Csq, MAILBOX, Readers)->ReaderList, &Irp->Tail.Overlay.ListEntry);
}

static VOID MailboxRemove(PIO_CSQ Csq, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Csq);
    RemoveEntryList(&Irp->Tail.Overlay.ListEntry);
}

/* The next one behind Irp; with a file object as context, only its own. */
static PIRP MailboxPeek(PIO_CSQ Csq, PIRP Irp, PVOID PeekContext)
{
    PMAILBOX box = CONTAINING_RECORD(Csq, MAILBOX, Readers);
    PLIST_ENTRY entry = Irp == NULL ? box->ReaderList.Flink : Irp->Tail.Overlay.ListEntry.Flink;

    for (; entry != &box->ReaderList; entry = entry->Flink) {
        PIRP next = CONTAINING_RECORD(entry, IRP, Tail.Overlay.ListEntry);
        if (PeekContext == NULL || IoGetCurrentIrpStackLocation(next)->FileObject == (PFILE_OBJECT)PeekContext) {
            return next;
        }
    }
    return NULL;
}

_Use_decl_annotations_
static VOID MailboxLock(PIO_CSQ Csq, PKIRQL Irql)
{
    KeAcquireSpinLock(&CONTAINING_RECORD(Csq, MAILBOX, Readers)->ReaderLock, Irql);
}

_Use_decl_annotations_
static VOID MailboxUnlock(PIO_CSQ Csq, KIRQL Irql)
{
    KeReleaseSpinLock(&CONTAINING_RECORD(Csq, MAILBOX, Readers)->ReaderLock, Irql);
}

static VOID MailboxCancelled(PIO_CSQ Csq, PIRP Irp)
{
    (VOID)Complete(Irp, STATUS_CANCELLED, 0);
    IoReleaseRemoveLock(&CONTAINING_RECORD(Csq, MAILBOX, Readers)->RemoveLock, Irp);
}

static NTSTATUS MailboxOpenClose(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS MailboxCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PMAILBOX box = (PMAILBOX)DeviceObject->DeviceExtension;
    PIRP reader;

    while ((reader = IoCsqRemoveNextIrp(&box->Readers, IoGetCurrentIrpStackLocation(Irp)->FileObject)) != NULL) {
        MailboxCancelled(&box->Readers, reader);
    }
    return Complete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS MailboxRead(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PMAILBOX box = (PMAILBOX)DeviceObject->DeviceExtension;
    PLETTER letter;
    NTSTATUS status = IoAcquireRemoveLock(&box->RemoveLock, Irp);

    if (!NT_SUCCESS(status)) {
        return Complete(Irp, status, 0);
    }
    letter = TakeLetter(box);
    if (letter != NULL) {
        Deliver(box, Irp, letter);
        return STATUS_SUCCESS;
    }
    IoCsqInsertIrp(&box->Readers, Irp, NULL);
    return STATUS_PENDING;
}

static NTSTATUS MailboxWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PMAILBOX box = (PMAILBOX)DeviceObject->DeviceExtension;
    ULONG length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length;
    NTSTATUS status = IoAcquireRemoveLock(&box->RemoveLock, Irp);

    if (!NT_SUCCESS(status)) {
        return Complete(Irp, status, 0);
    }
    status = Post(box, Irp->AssociatedIrp.SystemBuffer, length);
    status = Complete(Irp, status, status == STATUS_SUCCESS ? length : 0);
    IoReleaseRemoveLock(&box->RemoveLock, Irp);
    return status;
}

static NTSTATUS MailboxControl(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PMAILBOX box = (PMAILBOX)DeviceObject->DeviceExtension;
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    LARGE_INTEGER due;
    ULONG period;
    PULONG count;

    switch (stack->Parameters.DeviceIoControl.IoControlCode) {
    case IOCTL_MAILBOX_POST_EVERY: /* so many milliseconds; 0: no more */
        if (stack->Parameters.DeviceIoControl.InputBufferLength != sizeof(ULONG)) {
            return Complete(Irp, STATUS_INVALID_PARAMETER, 0);
        }
        period = *(PULONG)Irp->AssociatedIrp.SystemBuffer;
        if (period == 0) {
            KeCancelTimer(&box->Timer);
        } else {
            due.QuadPart = Int32x32To64(-10 * 1000, (LONG)period);
            KeSetTimerEx(&box->Timer, due, (LONG)period, &box->TimerDpc);
        }
        return Complete(Irp, STATUS_SUCCESS, 0);

    case IOCTL_MAILBOX_COUNT:
        if (Irp->MdlAddress == NULL || MmGetMdlByteCount(Irp->MdlAddress) < sizeof(ULONG)) {
            return Complete(Irp, STATUS_BUFFER_TOO_SMALL, 0);
        }
        count = (PULONG)MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority | MdlMappingNoExecute);
        if (count == NULL) {
            return Complete(Irp, STATUS_INSUFFICIENT_RESOURCES, 0);
        }
        *count = (ULONG)box->Kept;
        return Complete(Irp, STATUS_SUCCESS, sizeof(ULONG));

    default:
        return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    }
}

static VOID MailboxUnload(PDRIVER_OBJECT DriverObject)
{
    PDEVICE_OBJECT device = DriverObject->DeviceObject;
    PMAILBOX box = (PMAILBOX)device->DeviceExtension;
    PLETTER letter;

    KeCancelTimer(&box->Timer);
    KeFlushQueuedDpcs();
    IoDeleteSymbolicLink(&box->Link);
    (VOID)IoAcquireRemoveLock(&box->RemoveLock, NULL);
    IoReleaseRemoveLockAndWait(&box->RemoveLock, NULL);
    while ((letter = TakeLetter(box)) != NULL) {
        ExFreePoolWithTag(letter, MAILBOX_TAG);
    }
    IoDeleteDevice(device);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DECLARE_CONST_UNICODE_STRING(deviceName, L"\\Device\\Mailbox");
    PDEVICE_OBJECT device;
    PMAILBOX box;
    NTSTATUS status;
    ULONG i;

    UNREFERENCED_PARAMETER(RegistryPath);
    for (i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) {
        NT_ASSERT(DriverObject->MajorFunction[i] != NULL);
    }
    DriverObject->MajorFunction[IRP_MJ_CREATE] = MailboxOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLOSE] = MailboxOpenClose;
    DriverObject->MajorFunction[IRP_MJ_CLEANUP] = MailboxCleanup;
    DriverObject->MajorFunction[IRP_MJ_READ] = MailboxRead;
    DriverObject->MajorFunction[IRP_MJ_WRITE] = MailboxWrite;
    DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = MailboxControl;
    DriverObject->DriverUnload = MailboxUnload;

    status = IoCreateDeviceSecure(DriverObject, sizeof(MAILBOX), (PUNICODE_STRING)&deviceName, FILE_DEVICE_UNKNOWN, FILE_DEVICE_SECURE_OPEN, FALSE,
                                  &SDDL_DEVOBJ_SYS_ALL_ADM_RWX_WORLD_RW_RES_R, NULL, &device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    box = (PMAILBOX)device->DeviceExtension;
    InitializeListHead(&box->ReaderList);
    InitializeListHead(&box->Letters);
    KeInitializeSpinLock(&box->ReaderLock);
    KeInitializeSpinLock(&box->LetterLock);
    KeInitializeTimerEx(&box->Timer, NotificationTimer);
    KeInitializeDpc(&box->TimerDpc, MailboxTimer, device);
    IoInitializeRemoveLock(&box->RemoveLock, MAILBOX_TAG, 0, 0);
    status = IoCsqInitialize(&box->Readers, MailboxInsert, MailboxRemove, MailboxPeek, MailboxLock, MailboxUnlock, MailboxCancelled);
    if (NT_SUCCESS(status)) {
        RtlInitEmptyUnicodeString(&box->Link, box->LinkBuffer, sizeof(box->LinkBuffer));
        status = RtlUnicodeStringPrintf(&box->Link, L"\\DosDevices\\%ws%d", L"Mailbox", atoi("1"));
    }
    if (NT_SUCCESS(status)) {
        status = IoCreateSymbolicLink(&box->Link, (PUNICODE_STRING)&deviceName);
    }
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(device);
        return status;
    }
    device->Flags |= DO_BUFFERED_IO;
    KdPrint(("Mailbox is open: %wZ\n", &box->Link));
    return STATUS_SUCCESS;
}
