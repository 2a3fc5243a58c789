/* A name is made under a spin lock. */
#include "twin.h"

static KSPIN_LOCK Lock;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNICODE_STRING Link, Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  RtlInitUnicodeString(&Link, L"\\DosDevices\\Twin");
  RtlInitUnicodeString(&Device, L"\\Device\\Twin");
  KeInitializeSpinLock(&Lock);
  KeAcquireSpinLock(&Lock, &OldIrql);
#ifndef BAD
  KeReleaseSpinLock(&Lock, OldIrql);
#endif
  IoCreateSymbolicLink(&Link, &Device); /* culprit */
  IoDeleteSymbolicLink(&Link);
  return STATUS_SUCCESS;
}
