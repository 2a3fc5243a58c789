/* Two locks, taken in two orders; nobody ever waits. */
#include "twin.h"

static KSPIN_LOCK Queue, Device;
static KDPC Dpc;

static VOID TakeInDpc(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNUSED_PARAMETERS(ThisDpc, Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  KeAcquireSpinLockAtDpcLevel(BAD_OR_GOOD(&Device, &Queue));
  KeAcquireSpinLockAtDpcLevel(BAD_OR_GOOD(&Queue, &Device)); /* culprit */
  KeReleaseSpinLockFromDpcLevel(BAD_OR_GOOD(&Queue, &Device));
  KeReleaseSpinLockFromDpcLevel(BAD_OR_GOOD(&Device, &Queue));
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  KeInitializeSpinLock(&Queue);
  KeInitializeSpinLock(&Device);
  KeInitializeDpc(&Dpc, TakeInDpc, NULL);
  KeAcquireSpinLock(&Queue, &OldIrql);
  KeAcquireSpinLockAtDpcLevel(&Device);
  KeReleaseSpinLockFromDpcLevel(&Device);
  KeReleaseSpinLock(&Queue, OldIrql);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
