/* An ISR takes a spin lock with KeAcquireSpinLock; its twin leaves that to the DPC. */
#include "twin.h"

static PKINTERRUPT Interrupt;
static KSPIN_LOCK Lock;
static KDPC Work;
static ULONG Count;

static VOID CountOne(VOID) {
  KIRQL OldIrql;
  KeAcquireSpinLock(&Lock, &OldIrql); /* culprit */
  ++Count;
  KeReleaseSpinLock(&Lock, OldIrql);
}

static VOID Run(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(Dpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  CountOne();
}

static BOOLEAN Isr(PKINTERRUPT ThisInterrupt, PVOID Context) {
  UNUSED_PARAMETERS(ThisInterrupt, Context);
#ifdef BAD
  CountOne();
#else
  KeInsertQueueDpc(&Work, NULL, NULL);
#endif
  return TRUE;
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  IoDisconnectInterrupt(Interrupt);
  KeFlushQueuedDpcs();
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeSpinLock(&Lock);
  KeInitializeDpc(&Work, Run, NULL);
  return IoConnectInterrupt(&Interrupt, Isr, NULL, NULL, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
}
