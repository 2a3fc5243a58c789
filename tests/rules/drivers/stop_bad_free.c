/* Memory is freed by the one who fails, and again by his caller. */
#include "twin.h"

static NTSTATUS Use(PVOID Memory) {
#ifdef BAD
  ExFreePoolWithTag(Memory, 'niwT');
#else
  UNREFERENCED_PARAMETER(Memory);
#endif
  return STATUS_UNSUCCESSFUL;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PVOID Memory;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 'niwT');
  if (Memory == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  if (!NT_SUCCESS(Use(Memory))) {
    ExFreePoolWithTag(Memory, 'niwT'); /* culprit */
  }
  return STATUS_SUCCESS;
}
