/* A routine that takes the lock is called by one that holds it. */
#include "twin.h"

static KSPIN_LOCK Lock;
static ULONG Count;

static VOID CountOne(VOID) {
  KeAcquireSpinLockAtDpcLevel(&Lock); /* culprit */
  Count++;
  KeReleaseSpinLockFromDpcLevel(&Lock);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
#ifdef BAD
  KeAcquireSpinLock(&Lock, &OldIrql);
  CountOne();
  KeReleaseSpinLock(&Lock, OldIrql);
#else
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  CountOne();
  KeLowerIrql(OldIrql);
#endif
  return STATUS_SUCCESS;
}
