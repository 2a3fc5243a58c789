/* A KDPC in memory that nobody has initialised. */
#include "twin.h"

static VOID Run(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(Dpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
}

static KDPC Work;
static PKDEFERRED_ROUTINE Routine = Run;

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeFlushQueuedDpcs();
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
#ifdef BAD
  Work.DeferredRoutine = Routine;
#else
  KeInitializeDpc(&Work, Routine, NULL);
#endif
  KeInsertQueueDpc(&Work, NULL, NULL); /* culprit */
  return STATUS_SUCCESS;
}
