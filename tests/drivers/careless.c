/* What becomes of it when a routine fails that may. The registry says how it behaves: 0: it is right; 1: it does not look whether it has got memory; 2: it frees a block
 * twice when it gives up; 3: it waits for a thread that was never created. */
#include <ntddk.h>

#define CARELESS_TAG 'eraC'

typedef struct {
  KEVENT Done;
  PVOID Second;
  PKTHREAD Thread;
} CARELESS;

static ULONG How;
static CARELESS* Careless;

static PVOID Allocate(SIZE_T Size) { return ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, CARELESS_TAG); }

static VOID NTAPI Work(PVOID Context) {
  KeSetEvent(&Careless->Done, IO_NO_INCREMENT, FALSE);
  PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID GiveUp(VOID) {
  if (Careless == NULL) return;
  if (Careless->Second != NULL) ExFreePoolWithTag(Careless->Second, CARELESS_TAG);
  ExFreePoolWithTag(Careless, CARELESS_TAG);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
  KeWaitForSingleObject(&Careless->Done, Executive, KernelMode, FALSE, NULL);
  if (Careless->Thread != NULL) {
    KeWaitForSingleObject(Careless->Thread, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Careless->Thread);
  }
  GiveUp();
}

static NTSTATUS StartThread(VOID) {
  HANDLE Handle;
  NTSTATUS Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Work, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID*)&Careless->Thread, NULL);
  ZwClose(Handle);
  return Status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  RTL_QUERY_REGISTRY_TABLE Values[2];
  NTSTATUS Status;
  RtlZeroMemory(Values, sizeof(Values));
  Values[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
  Values[0].Name = L"How";
  Values[0].EntryContext = &How;
  Status = RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, Values, NULL, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  DriverObject->DriverUnload = Unload;
  Careless = Allocate(sizeof(CARELESS));
  if (How != 1 && Careless == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeEvent(&Careless->Done, NotificationEvent, FALSE);
  Careless->Second = Allocate(64);
  if (Careless->Second == NULL) {
    GiveUp();
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  Status = StartThread();
  if (How == 3 || NT_SUCCESS(Status)) return STATUS_SUCCESS;
  if (How == 2) ExFreePoolWithTag(Careless->Second, CARELESS_TAG);
  GiveUp();
  return Status;
}
