/* A timer among the local variables of a function that does not wait for it. */
#include "twin.h"

static __attribute__((noinline)) VOID Start(VOID) {
  KTIMER Timer;
  LARGE_INTEGER Due;
  Due.QuadPart = -100000LL;
  KeInitializeTimer(&Timer);
  KeSetTimer(&Timer, Due, NULL); /* culprit */
#ifndef BAD
  KeWaitForSingleObject(&Timer, Executive, KernelMode, FALSE, NULL);
#endif
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Start();
  Sleep(50);
  return STATUS_SUCCESS;
}
