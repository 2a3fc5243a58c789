/* The ISR returns what KeInsertQueueDpc has returned, and denies an interrupt that it has served. */
#include "twin.h"

static PKINTERRUPT Interrupt;
static KDPC Dpc;

static VOID Serve(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
}

static BOOLEAN Isr(PKINTERRUPT ThisInterrupt, PVOID Context) { /* culprit */
  BOOLEAN Queued;
  UNUSED_PARAMETERS(ThisInterrupt, Context);
  KeInsertQueueDpc(&Dpc, NULL, NULL);          /* something was received */
  Queued = KeInsertQueueDpc(&Dpc, NULL, NULL); /* and something was sent */
  return BAD_OR_GOOD(Queued, Queued || TRUE);
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  IoDisconnectInterrupt(Interrupt);
  KeFlushQueuedDpcs();
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeDpc(&Dpc, Serve, NULL);
  return IoConnectInterrupt(&Interrupt, Isr, NULL, NULL, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
}
