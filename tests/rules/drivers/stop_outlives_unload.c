/* A driver that goes while its timer is set. */
#include "twin.h"

typedef struct {
  KTIMER Timer;
  KDPC Dpc;
} TICKER;
static TICKER *Ticker;

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(Dpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
#ifndef BAD
  KeCancelTimer(&Ticker->Timer);
  KeFlushQueuedDpcs();
  ExFreePoolWithTag(Ticker, 'kciT');
#endif
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  Ticker = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Ticker, 'kciT');
  if (Ticker == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeDpc(&Ticker->Dpc, Tick, NULL);
  KeInitializeTimerEx(&Ticker->Timer, NotificationTimer);
  Due.QuadPart = -100000LL;
  KeSetTimerEx(&Ticker->Timer, Due, 10, &Ticker->Dpc); /* culprit */
  return STATUS_SUCCESS;
}
