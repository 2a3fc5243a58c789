/* A timer in memory that nobody has initialised. */
#include "twin.h"

static KTIMER Timer;

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeCancelTimer(&Timer);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
#ifndef BAD
  KeInitializeTimer(&Timer);
#endif
  Due.QuadPart = -10000LL;
  KeSetTimer(&Timer, Due, NULL); /* culprit */
  return STATUS_SUCCESS;
}
