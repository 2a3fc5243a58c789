/* A lock that the ISR holds too, taken by a thread at DISPATCH_LEVEL only. */
#include "twin.h"

static KSPIN_LOCK Lock;
static PKINTERRUPT Interrupt;
static ULONG Count;

static BOOLEAN CountOne(PKINTERRUPT ThisInterrupt, PVOID Context) {
  UNUSED_PARAMETERS(ThisInterrupt, Context);
  ++Count;
  return TRUE;
}

static VOID Unload(PDRIVER_OBJECT DriverObject) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(DriverObject);
#ifdef BAD
  KeAcquireSpinLock(&Lock, &OldIrql); /* culprit */
  Count = 0;
  KeReleaseSpinLock(&Lock, OldIrql);
#else
  OldIrql = KeAcquireInterruptSpinLock(Interrupt);
  Count = 0;
  KeReleaseInterruptSpinLock(Interrupt, OldIrql);
#endif
  IoDisconnectInterrupt(Interrupt);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = Unload;
  KeInitializeSpinLock(&Lock);
  KeAcquireSpinLock(&Lock, &OldIrql); /* harmless: there is no interrupt yet */
  Count = 0;
  KeReleaseSpinLock(&Lock, OldIrql);
  return IoConnectInterrupt(&Interrupt, CountOne, NULL, &Lock, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
}
