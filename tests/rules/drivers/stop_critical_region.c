/* A critical region left once more than it was entered. */
#include "twin.h"

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeEnterCriticalRegion();
  KeEnterCriticalRegion();
  KeLeaveCriticalRegion();
  KeLeaveCriticalRegion();
#ifdef BAD
  KeLeaveCriticalRegion(); /* culprit */
#endif
  return STATUS_SUCCESS;
}
