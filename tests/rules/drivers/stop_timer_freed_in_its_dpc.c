/* A periodic timer freed in its own DPC. */
#include "twin.h"

typedef struct {
  KTIMER Timer;
  KDPC Dpc;
} TICKER;

static VOID Tick(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  TICKER *Ticker = Context;
  UNREFERENCED_PARAMETER(Dpc);
  UNUSED_PARAMETERS(Argument1, Argument2);
#ifndef BAD
  KeCancelTimer(&Ticker->Timer);
#endif
  ExFreePoolWithTag(Ticker, 'kciT'); /* culprit */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  TICKER *Ticker;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Ticker = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof *Ticker, 'kciT');
  if (Ticker == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeDpc(&Ticker->Dpc, Tick, Ticker);
  KeInitializeTimerEx(&Ticker->Timer, NotificationTimer);
  Due.QuadPart = -100000LL;
  KeSetTimerEx(&Ticker->Timer, Due, 10, &Ticker->Dpc);
  return STATUS_SUCCESS;
}
