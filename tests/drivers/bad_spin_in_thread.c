/* A thread raises to DISPATCH_LEVEL and waits in a loop there. No DPC, no lock: only the processor's long absence tells. */
#include <wdm.h>

static volatile LONG Flag;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  while (Flag == 0) continue; /* culprit */
  KeLowerIrql(OldIrql);
  return STATUS_SUCCESS;
}
