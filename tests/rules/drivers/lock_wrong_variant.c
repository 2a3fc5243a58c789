/* A lock taken with one pair of routines and let go with the other. */
#include "twin.h"

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeAcquireSpinLock(&Lock, &OldIrql);
#ifdef BAD
  KeReleaseSpinLockFromDpcLevel(&Lock); /* culprit */
  KeLowerIrql(OldIrql);
#else
  KeReleaseSpinLock(&Lock, OldIrql);
#endif
  return STATUS_SUCCESS;
}
