/* Takes a spin lock that it holds. */
#include <wdm.h>

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeSpinLock(&Lock);
  KeAcquireSpinLock(&Lock, &OldIrql);
  KeAcquireSpinLockAtDpcLevel(&Lock); /* culprit */
  KeReleaseSpinLockFromDpcLevel(&Lock);
  KeReleaseSpinLock(&Lock, OldIrql);
  return STATUS_SUCCESS;
}
