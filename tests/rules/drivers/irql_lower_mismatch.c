/* Two raises, and one lowering that undoes both. */
#include "twin.h"

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL Outer, Inner;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeRaiseIrql(APC_LEVEL, &Outer);
  KeRaiseIrql(DISPATCH_LEVEL, &Inner);
  KeLowerIrql(BAD_OR_GOOD(Outer, Inner)); /* culprit */
  KeLowerIrql(Outer);
  return STATUS_SUCCESS;
}
