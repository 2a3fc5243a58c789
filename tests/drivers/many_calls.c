/* Calls the kernel more often at HIGH_LEVEL than a machine in real time has room to write down: nobody can take anything out meanwhile. */
#include <wdm.h>

enum { CALLS = 400000 };

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD Unload;

static VOID Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  ULONG Index;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeRaiseIrql(HIGH_LEVEL, &OldIrql);
  for (Index = 0; Index < CALLS; ++Index) KeQueryInterruptTime();
  KeLowerIrql(OldIrql);
  return STATUS_SUCCESS;
}
