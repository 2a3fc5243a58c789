/* A DPC that forgets its lock on the way out. */
#include "twin.h"

static KSPIN_LOCK Lock;
static KDPC Dpc;
static ULONG Work;

static VOID Serve(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  KeAcquireSpinLockAtDpcLevel(&Lock); /* culprit */
  if (Work == 0) {
#ifndef BAD
    KeReleaseSpinLockFromDpcLevel(&Lock);
#endif
    return;
  }
  --Work;
  KeReleaseSpinLockFromDpcLevel(&Lock);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeInitializeDpc(&Dpc, Serve, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
