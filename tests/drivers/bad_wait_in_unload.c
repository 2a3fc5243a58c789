/* Its DriverUnload waits for an event that nobody sets. */
#include <wdm.h>

static KEVENT Event;

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL); /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeEvent(&Event, NotificationEvent, FALSE);
  DriverObject->DriverUnload = Unload;
  return STATUS_SUCCESS;
}
