/* The cancel lock is let go by somebody who has never acquired it. */
#include "twin.h"

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
#ifdef BAD
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
#else
  IoAcquireCancelSpinLock(&OldIrql);
#endif
  IoReleaseCancelSpinLock(OldIrql); /* culprit */
  return STATUS_SUCCESS;
}
