/* Keeps a read until a timer's DPC answers it, or it is cancelled. The registry says how it behaves: 0: it is right; 1: the DPC does not look whether the cancel routine has
 * the read already; 2: a read that is cancelled is never completed. */
#include <ntddk.h>

static ULONG How;
static PDEVICE_OBJECT Keeper;
static UNICODE_STRING Link = RTL_CONSTANT_STRING(L"\\??\\Keeper");
static KTIMER Timer;
static KDPC Dpc;
static KSPIN_LOCK Lock;
static PIRP Kept;

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = Information;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

static VOID NTAPI Cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(DeviceObject);
  IoReleaseCancelSpinLock(Irp->CancelIrql);
  KeAcquireSpinLock(&Lock, &OldIrql);
  if (Kept == Irp) Kept = NULL;
  KeReleaseSpinLock(&Lock, OldIrql);
  if (How != 2) Complete(Irp, STATUS_CANCELLED, 0);
}

static VOID NTAPI Answer(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  PIRP Irp;
  UNREFERENCED_PARAMETER(ThisDpc);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  KeAcquireSpinLockAtDpcLevel(&Lock);
  Irp = Kept;
  if (Irp != NULL && IoSetCancelRoutine(Irp, NULL) == NULL && How != 1) Irp = NULL; /* the cancel routine's */
  if (Irp != NULL) Kept = NULL;
  KeReleaseSpinLockFromDpcLevel(&Lock);
  if (Irp != NULL) Complete(Irp, STATUS_SUCCESS, IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length);
}

/* One at a time. */
static NTSTATUS NTAPI Read(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  LARGE_INTEGER Due;
  KIRQL OldIrql;
  NTSTATUS Status = STATUS_DEVICE_BUSY;
  UNREFERENCED_PARAMETER(DeviceObject);
  Due.QuadPart = -10000;
  KeAcquireSpinLock(&Lock, &OldIrql);
  if (Kept == NULL) {
    Status = STATUS_PENDING;
    IoSetCancelRoutine(Irp, Cancel);
    if (Irp->Cancel && IoSetCancelRoutine(Irp, NULL) != NULL) Status = STATUS_CANCELLED; /* too early for Cancel to be called */
  }
  if (Status == STATUS_PENDING) {
    IoMarkIrpPending(Irp);
    Kept = Irp;
    KeSetTimer(&Timer, Due, &Dpc);
  }
  KeReleaseSpinLock(&Lock, OldIrql);
  return Status == STATUS_PENDING ? Status : Complete(Irp, Status, 0);
}

static NTSTATUS NTAPI CreateClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  UNREFERENCED_PARAMETER(DeviceObject);
  return Complete(Irp, STATUS_SUCCESS, 0);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeCancelTimer(&Timer);
  KeFlushQueuedDpcs();
  IoDeleteSymbolicLink(&Link);
  IoDeleteDevice(Keeper);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNICODE_STRING Name = RTL_CONSTANT_STRING(L"\\Device\\Keeper");
  RTL_QUERY_REGISTRY_TABLE Values[2];
  NTSTATUS Status;
  RtlZeroMemory(Values, sizeof(Values));
  Values[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
  Values[0].Name = L"How";
  Values[0].EntryContext = &How;
  Status = RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, Values, NULL, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  KeInitializeSpinLock(&Lock);
  KeInitializeTimer(&Timer);
  KeInitializeDpc(&Dpc, Answer, NULL);
  DriverObject->DriverUnload = Unload;
  DriverObject->MajorFunction[IRP_MJ_CREATE] = DriverObject->MajorFunction[IRP_MJ_CLEANUP] = DriverObject->MajorFunction[IRP_MJ_CLOSE] = CreateClose;
  DriverObject->MajorFunction[IRP_MJ_READ] = Read;
  Status = IoCreateDevice(DriverObject, 0, &Name, FILE_DEVICE_UNKNOWN, 0, FALSE, &Keeper);
  if (!NT_SUCCESS(Status)) return Status;
  return IoCreateSymbolicLink(&Link, &Name);
}
