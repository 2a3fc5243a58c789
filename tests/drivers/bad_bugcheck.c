/* Stops the machine by itself. */
#include <wdm.h>

static DECLSPEC_NOINLINE VOID GiveUp(VOID) {
  KeBugCheckEx(0xE2, 1, 2, 3, 4); /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  GiveUp();
  return STATUS_SUCCESS;
}
