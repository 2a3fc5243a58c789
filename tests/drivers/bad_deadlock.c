/* Two threads on two processors take two spin locks in opposite order, each when the other has its first. */
#include <wdm.h>

static KSPIN_LOCK Locks[2];
static volatile LONG Holders;

static VOID TakeBoth(PVOID Context) {
  const ULONG Mine = (ULONG)(ULONG_PTR)Context;
  KIRQL OldIrql;
  KeSetSystemAffinityThread((KAFFINITY)1 << Mine);
  KeAcquireSpinLock(&Locks[Mine], &OldIrql);
  InterlockedIncrement(&Holders);
  while (Holders != 2) YieldProcessor();
  KeAcquireSpinLockAtDpcLevel(&Locks[1 - Mine]); /* culprit */
  KeReleaseSpinLockFromDpcLevel(&Locks[1 - Mine]);
  KeReleaseSpinLock(&Locks[Mine], OldIrql);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  ULONG_PTR Index;
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  for (Index = 0; Index < 2; ++Index) {
    HANDLE Thread;
    NTSTATUS Status;
    KeInitializeSpinLock(&Locks[Index]);
    Status = PsCreateSystemThread(&Thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, TakeBoth, (PVOID)Index);
    if (!NT_SUCCESS(Status)) return Status;
    ZwClose(Thread);
  }
  return STATUS_SUCCESS;
}
