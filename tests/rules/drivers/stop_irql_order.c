/* A raise to a level below the current one. */
#include "twin.h"

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql, Older;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeRaiseIrql(DISPATCH_LEVEL, &Older);
  KeRaiseIrql(BAD_OR_GOOD(APC_LEVEL, DISPATCH_LEVEL), &OldIrql); /* culprit */
  KeLowerIrql(OldIrql);
  KeLowerIrql(Older);
  return STATUS_SUCCESS;
}
