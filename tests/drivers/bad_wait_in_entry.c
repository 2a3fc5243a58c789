/* Its DriverEntry waits for an event that nobody sets. */
#include <wdm.h>

static KEVENT Event;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeEvent(&Event, NotificationEvent, FALSE);
  KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL); /* culprit */
  return STATUS_SUCCESS;
}
