/* A DPC follows a pointer in memory that was freed meanwhile. */
#include "twin.h"

typedef struct {
  ULONG *Value;
} BOX;

static KDPC Dpc;
static ULONG Value = 1, Sum;

static VOID Add(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  BOX *Box = Context;
  UNREFERENCED_PARAMETER(ThisDpc);
  UNUSED_PARAMETERS(Argument1, Argument2);
  Sum += *Box->Value; /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  BOX *Box;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Box = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Box, ' xoB');
  if (Box == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  Box->Value = &Value;
  KeInitializeDpc(&Dpc, Add, Box);
#ifdef BAD
  ExFreePoolWithTag(Box, ' xoB');
  KeInsertQueueDpc(&Dpc, NULL, NULL);
#else
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  KeFlushQueuedDpcs();
  ExFreePoolWithTag(Box, ' xoB');
#endif
  return STATUS_SUCCESS;
}
