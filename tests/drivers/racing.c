/* A timer's DPC, on another processor if there is one, and a thread that count together. The registry says how they are kept apart: not at all, by one spin
 * lock, or by interlocked operations. Both count in Safe too, under the lock in any case. */
#include <ntddk.h>

#define RACING_TAG 'icaR'
#define ROUNDS 5

typedef struct {
  KTIMER Timer;
  KDPC Dpc;
  KSPIN_LOCK Lock;
  PKTHREAD Thread;
  ULONG How; /* 0: not at all; 1: the lock; 2: interlocked; 3: not at all, and the memory is freed while the DPC may run */
  LONG Shared;
  ULONG Safe;
} RACING;

static RACING* Racing;

static VOID Count(RACING* Its) {
  KIRQL Old;
  if (Its->How == 2) {
    InterlockedIncrement(&Its->Shared);
  } else if (Its->How != 1) {
    ++Its->Shared;
  }
  KeAcquireSpinLock(&Its->Lock, &Old);
  if (Its->How == 1) ++Its->Shared;
  ++Its->Safe;
  KeReleaseSpinLock(&Its->Lock, Old);
}

static VOID NTAPI RacingTick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { Count(Context); }

static VOID NTAPI RacingThread(PVOID Context) {
  LARGE_INTEGER Interval;
  ULONG Round;
  Interval.QuadPart = -10000;
  for (Round = 0; Round < ROUNDS; ++Round) {
    KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    Count(Context);
  }
  PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI RacingUnload(PDRIVER_OBJECT DriverObject) {
  KeWaitForSingleObject(Racing->Thread, Executive, KernelMode, FALSE, NULL);
  ObDereferenceObject(Racing->Thread);
  KeCancelTimer(&Racing->Timer);
  if (Racing->How != 3) KeFlushQueuedDpcs();
  ExFreePoolWithTag(Racing, RACING_TAG);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  RTL_QUERY_REGISTRY_TABLE Values[2];
  LARGE_INTEGER Due;
  HANDLE Handle;
  NTSTATUS Status;
  Racing = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(RACING), RACING_TAG);
  if (Racing == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  RtlZeroMemory(Values, sizeof(Values));
  Values[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
  Values[0].Name = L"How";
  Values[0].EntryContext = &Racing->How;
  RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, Values, NULL, NULL);
  KeInitializeSpinLock(&Racing->Lock);
  KeInitializeTimer(&Racing->Timer);
  KeInitializeDpc(&Racing->Dpc, RacingTick, Racing);
  if (KeQueryActiveProcessorCount(NULL) > 1) KeSetTargetProcessorDpc(&Racing->Dpc, 1);
  Due.QuadPart = -10000;
  KeSetTimerEx(&Racing->Timer, Due, 1, &Racing->Dpc);
  Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, RacingThread, Racing);
  if (!NT_SUCCESS(Status)) return Status;
  ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID*)&Racing->Thread, NULL);
  ZwClose(Handle);
  DriverObject->DriverUnload = RacingUnload;
  return STATUS_SUCCESS;
}
