/* A lock that is held with an in-stack handle is given back as an ordinary one. */
#include "twin.h"

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KLOCK_QUEUE_HANDLE Handle;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeAcquireInStackQueuedSpinLock(&Lock, &Handle);
#ifdef BAD
  KeReleaseSpinLock(&Lock, Handle.OldIrql); /* culprit */
#else
  KeReleaseInStackQueuedSpinLock(&Handle);
#endif
  return STATUS_SUCCESS;
}
