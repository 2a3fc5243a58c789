/* One KDPC for a timer and for KeInsertQueueDpc. */
#include "twin.h"

static KTIMER Timer;
static KDPC TimerDpc, OwnDpc;

static VOID Poll(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(Dpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  KeCancelTimer(&Timer);
  KeFlushQueuedDpcs();
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeDpc(&TimerDpc, Poll, NULL);
  KeInitializeDpc(&OwnDpc, Poll, NULL);
  KeInitializeTimerEx(&Timer, NotificationTimer);
  Due.QuadPart = -100000LL;
  KeSetTimerEx(&Timer, Due, 10, &TimerDpc);
  KeInsertQueueDpc(BAD_OR_GOOD(&TimerDpc, &OwnDpc), NULL, NULL); /* culprit */
  return STATUS_SUCCESS;
}
