/* An event in paged pool: to signal it is to touch it at a raised IRQL. */
#include "twin.h"

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PKEVENT Event;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Event = ExAllocatePool2(BAD_OR_GOOD(POOL_FLAG_PAGED, POOL_FLAG_NON_PAGED), sizeof *Event, 'tnvE');
  if (Event == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeEvent(Event, NotificationEvent, FALSE); /* culprit */
  KeSetEvent(Event, IO_NO_INCREMENT, FALSE);
  ExFreePoolWithTag(Event, 'tnvE');
  return STATUS_SUCCESS;
}
