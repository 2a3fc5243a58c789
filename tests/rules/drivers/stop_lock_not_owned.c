/* A spin lock let go twice. */
#include "twin.h"

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql, Same;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  KeAcquireSpinLock(&Lock, &Same);
  KeReleaseSpinLock(&Lock, Same);
#ifdef BAD
  KeReleaseSpinLock(&Lock, Same); /* culprit */
#endif
  KeLowerIrql(OldIrql);
  return STATUS_SUCCESS;
}
