/* What a DPC reads was allocated from paged pool. */
#include "twin.h"

static volatile ULONG *Numbers;
static ULONG Sum;
static KDPC Dpc;

static VOID Add(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  Sum += Numbers[3]; /* culprit */
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeFlushQueuedDpcs();
  ExFreePoolWithTag((PVOID)Numbers, 'smuN');
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  Numbers = ExAllocatePool2(BAD_OR_GOOD(POOL_FLAG_PAGED, POOL_FLAG_NON_PAGED), 16 * sizeof(ULONG), 'smuN');
  if (Numbers == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  Numbers[3] = 1;
  KeInitializeDpc(&Dpc, Add, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
