/* A wait under a spin lock. */
#include "twin.h"

static KSPIN_LOCK Lock;
static KEVENT Event;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Lock);
  KeInitializeEvent(&Event, NotificationEvent, TRUE);
  KeAcquireSpinLock(&Lock, &OldIrql);
#ifndef BAD
  KeReleaseSpinLock(&Lock, OldIrql);
#endif
  KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL); /* culprit */
  return STATUS_SUCCESS;
}
