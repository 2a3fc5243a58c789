/* Writes through a wild pointer at DISPATCH_LEVEL. */
#include <wdm.h>

static volatile ULONG_PTR Wild = 0x1230;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  *(volatile ULONG *)Wild = 1; /* culprit */
  KeLowerIrql(OldIrql);
  return STATUS_SUCCESS;
}
