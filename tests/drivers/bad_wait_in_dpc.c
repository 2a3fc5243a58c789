/* Its DPC waits for an event: there is no thread that could sleep. */
#include <wdm.h>

static KDPC Dpc;
static KEVENT Event;

static VOID Wait(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(ThisDpc);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL); /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeEvent(&Event, NotificationEvent, FALSE);
  KeInitializeDpc(&Dpc, Wait, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
