/* A spin lock held for 40 microseconds. */
#include "twin.h"

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeAcquireSpinLock(&Lock, &OldIrql); /* culprit */
  KeStallExecutionProcessor(BAD_OR_GOOD(40, 5));
  KeReleaseSpinLock(&Lock, OldIrql);
  return STATUS_SUCCESS;
}
