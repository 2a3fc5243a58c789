/* A DPC is queued before what it uses is there. */
#include "twin.h"

typedef struct {
  ULONG Unused[3], Value;
} BOX;

static KDPC Dpc;
static BOX *Box;

static VOID Add(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(ThisDpc);
  UNREFERENCED_PARAMETER(Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  ++Box->Value; /* culprit */
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeFlushQueuedDpcs();
  ExFreePoolWithTag(Box, ' xoB');
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeDpc(&Dpc, Add, NULL);
#ifdef BAD
  KeInsertQueueDpc(&Dpc, NULL, NULL);
#endif
  Box = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Box, ' xoB');
  if (Box == NULL) return STATUS_INSUFFICIENT_RESOURCES;
#ifndef BAD
  KeInsertQueueDpc(&Dpc, NULL, NULL);
#endif
  return STATUS_SUCCESS;
}
