/* A DPC waits for a flag that only a thread can set. */
#include "twin.h"

static KDPC Dpc;
static volatile LONG Flag = BAD_OR_GOOD(0, 1);

static VOID WaitForIt(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  while (Flag == 0) {
    KeStallExecutionProcessor(50); /* culprit */
  }
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeDpc(&Dpc, WaitForIt, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  Flag = 1;
  return STATUS_SUCCESS;
}
