/* A driver that goes while its thread is still there. */
#include "twin.h"

static KEVENT Stop;
static PVOID Thread;

static VOID Run(PVOID Context) {
  UNREFERENCED_PARAMETER(Context);
  KeWaitForSingleObject(&Stop, Executive, KernelMode, FALSE, NULL);
  PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
#ifndef BAD
  KeSetEvent(&Stop, IO_NO_INCREMENT, FALSE);
  KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
#endif
  ObDereferenceObject(Thread);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  NTSTATUS Status;
  HANDLE Handle;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeEvent(&Stop, NotificationEvent, FALSE);
  Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Run, NULL); /* culprit */
  if (!NT_SUCCESS(Status)) return Status;
  Status = ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, &Thread, NULL);
  ZwClose(Handle);
  return Status;
}
