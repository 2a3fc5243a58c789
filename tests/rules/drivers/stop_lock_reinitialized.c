/* Initialising a lock that somebody holds. */
#include "twin.h"

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeAcquireSpinLock(&Lock, &OldIrql);
#ifdef BAD
  KeInitializeSpinLock(&Lock); /* culprit */
#endif
  KeReleaseSpinLock(&Lock, OldIrql);
  KeInitializeSpinLock(&Lock); /* nobody holds it: a new lock */
  return STATUS_SUCCESS;
}
