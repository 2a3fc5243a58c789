/* An event initialised again under a thread that waits for it. */
#include "twin.h"

static KEVENT Event;
static HANDLE Waiter;

static VOID Wait(PVOID Context) {
  LARGE_INTEGER Second;
  UNREFERENCED_PARAMETER(Context);
  Second.QuadPart = -10000000LL;
  KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, &Second);
  PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  Sleep(2000);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  NTSTATUS Status;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeEvent(&Event, NotificationEvent, FALSE);
  Status = PsCreateSystemThread(&Waiter, THREAD_ALL_ACCESS, NULL, NULL, NULL, Wait, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  ZwClose(Waiter);
  Sleep(10);
#ifdef BAD
  KeInitializeEvent(&Event, NotificationEvent, FALSE); /* culprit */
#else
  KeClearEvent(&Event);
#endif
  KeSetEvent(&Event, IO_NO_INCREMENT, FALSE);
  return STATUS_SUCCESS;
}
