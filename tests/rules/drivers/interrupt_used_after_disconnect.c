/* An interrupt object used after it was disconnected. */
#include "twin.h"

static PKINTERRUPT Interrupt;
static ULONG Count;

static BOOLEAN CountOne(PKINTERRUPT ThisInterrupt, PVOID Context) {
  UNUSED_PARAMETERS(ThisInterrupt, Context);
  ++Count;
  return TRUE;
}

static BOOLEAN Reset(PVOID Context) {
  UNREFERENCED_PARAMETER(Context);
  Count = 0;
  return TRUE;
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
#ifdef BAD
  IoDisconnectInterrupt(Interrupt);
  KeSynchronizeExecution(Interrupt, Reset, NULL); /* culprit */
#else
  KeSynchronizeExecution(Interrupt, Reset, NULL);
  IoDisconnectInterrupt(Interrupt);
#endif
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  return IoConnectInterrupt(&Interrupt, CountOne, NULL, NULL, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
}
