/* Two locks let go with each other's IRQL: the first to go lowers to PASSIVE_LEVEL under the second. */
#include "twin.h"

static KSPIN_LOCK First, Second;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL Outer, Inner;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&First);
  KeInitializeSpinLock(&Second);
  KeAcquireSpinLock(&First, &Outer);
  KeAcquireSpinLock(&Second, &Inner);
  KeReleaseSpinLock(&First, BAD_OR_GOOD(Outer, Inner)); /* culprit */
  KeReleaseSpinLock(&Second, BAD_OR_GOOD(Inner, Outer));
  return STATUS_SUCCESS;
}
