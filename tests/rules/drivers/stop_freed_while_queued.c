/* The KDPC of a timer freed while the timer is set. */
#include "twin.h"

static KTIMER Timer;

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(Dpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  PKDPC Dpc;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Dpc = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Dpc, 'cpD ');
  if (Dpc == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeDpc(Dpc, Tick, NULL);
  KeInitializeTimer(&Timer);
  Due.QuadPart = -10000000LL;
  KeSetTimer(&Timer, Due, Dpc);
#ifndef BAD
  KeCancelTimer(&Timer);
  KeFlushQueuedDpcs();
#endif
  ExFreePoolWithTag(Dpc, 'cpD '); /* culprit */
  return STATUS_SUCCESS;
}
