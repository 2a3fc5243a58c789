/* A function that is pageable is called with a spin lock held. */
#include "twin.h"

static KSPIN_LOCK Lock;
static volatile ULONG Count;

static VOID CountOne(VOID);
#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, CountOne)
#endif

static VOID CountOne(VOID) { /* culprit */
  Count++;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  CountOne();
  KeAcquireSpinLock(&Lock, &OldIrql);
#ifdef BAD
  CountOne();
#endif
  KeReleaseSpinLock(&Lock, OldIrql);
  CountOne();
  return STATUS_SUCCESS;
}
