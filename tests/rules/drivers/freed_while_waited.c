/* An event freed under a thread that waits for it, or for another one. */
#include "twin.h"

static KEVENT Never;
static PKEVENT Event;

static VOID Wait(PVOID Context) {
  PVOID Objects[2];
  LARGE_INTEGER Interval;
  UNREFERENCED_PARAMETER(Context);
  Interval.QuadPart = -200000LL;
  Objects[0] = &Never;
  Objects[1] = Event;
  KeWaitForMultipleObjects(2, Objects, WaitAny, Executive, KernelMode, FALSE, &Interval, NULL);
  PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  NTSTATUS Status;
  HANDLE Waiter;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Event, 'tnvE');
  if (Event == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeEvent(&Never, NotificationEvent, FALSE);
  KeInitializeEvent(Event, NotificationEvent, FALSE);
  Status = PsCreateSystemThread(&Waiter, THREAD_ALL_ACCESS, NULL, NULL, NULL, Wait, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  ZwClose(Waiter);
  Sleep(10);
#ifndef BAD
  KeSetEvent(Event, IO_NO_INCREMENT, FALSE);
  Sleep(50);
#endif
  ExFreePoolWithTag(Event, 'tnvE'); /* culprit */
  Sleep(50);
  return STATUS_SUCCESS;
}
