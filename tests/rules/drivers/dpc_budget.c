/* A DPC that takes 150 microseconds. */
#include "twin.h"

static KDPC Dpc;

static VOID Serve(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) { /* culprit */
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  KeStallExecutionProcessor(BAD_OR_GOOD(150, 50));
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeDpc(&Dpc, Serve, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
