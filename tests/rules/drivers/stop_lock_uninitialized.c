/* A lock in memory that nobody has initialised. */
#include "twin.h"

typedef struct {
  KSPIN_LOCK Lock;
  ULONG Count;
} COUNTER;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  COUNTER *Counter;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Counter = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof *Counter, 'tnuC');
  if (Counter == NULL) return STATUS_INSUFFICIENT_RESOURCES;
#ifndef BAD
  KeInitializeSpinLock(&Counter->Lock);
#endif
  KeAcquireSpinLock(&Counter->Lock, &OldIrql); /* culprit */
  Counter->Count = 1;
  KeReleaseSpinLock(&Counter->Lock, OldIrql);
  ExFreePoolWithTag(Counter, 'tnuC');
  return STATUS_SUCCESS;
}
