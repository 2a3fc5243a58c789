/* An ISR that takes 40 microseconds. */
#include "twin.h"

static PKINTERRUPT Interrupt;

static BOOLEAN Isr(PKINTERRUPT ThisInterrupt, PVOID Context) { /* culprit */
  UNUSED_PARAMETERS(ThisInterrupt, Context);
  KeStallExecutionProcessor(BAD_OR_GOOD(40, 5));
  return TRUE;
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  IoDisconnectInterrupt(Interrupt);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  return IoConnectInterrupt(&Interrupt, Isr, NULL, NULL, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
}
