/* A push lock that one thread holds is given back by another. */
#include "twin.h"

static EX_PUSH_LOCK Lock;
static KEVENT Done;
static WORK_QUEUE_ITEM Item;

static VOID Release(VOID) {
  ExReleasePushLockExclusive(&Lock); /* culprit */
  KeLeaveCriticalRegion();
}

static VOID Work(PVOID Context) {
  UNREFERENCED_PARAMETER(Context);
#ifdef BAD
  KeEnterCriticalRegion();
  Release();
#endif
  KeSetEvent(&Done, IO_NO_INCREMENT, FALSE);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  ExInitializePushLock(&Lock);
  KeInitializeEvent(&Done, NotificationEvent, FALSE);
  KeEnterCriticalRegion();
  ExAcquirePushLockExclusive(&Lock);
#ifndef BAD
  Release();
#endif
  ExInitializeWorkItem(&Item, Work, NULL);
  ExQueueWorkItem(&Item, DelayedWorkQueue);
  KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
  return STATUS_SUCCESS;
}
