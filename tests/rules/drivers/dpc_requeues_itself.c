/* A DPC that polls by queueing itself, and one that stops when there is nothing to do. */
#include "twin.h"

static KDPC Dpc;
static ULONG Runs;

static VOID Poll(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  if (++Runs < BAD_OR_GOOD(1000, 5)) KeInsertQueueDpc(ThisDpc, NULL, NULL); /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeDpc(&Dpc, Poll, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
