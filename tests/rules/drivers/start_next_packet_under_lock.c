/* The next packet started while a spin lock is held. */
#include "reader.h"

static KSPIN_LOCK Lock;
static ULONG Started;

static VOID StartIo(PDEVICE_OBJECT Device, PIRP Irp) {
  KeAcquireSpinLockAtDpcLevel(&Lock);
  ++Started;
#ifdef BAD
  IoStartNextPacket(Device, FALSE); /* culprit */
  KeReleaseSpinLockFromDpcLevel(&Lock);
#else
  KeReleaseSpinLockFromDpcLevel(&Lock);
  IoStartNextPacket(Device, FALSE);
#endif
  Complete(Irp, STATUS_SUCCESS);
}

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) {
  IoMarkIrpPending(Irp);
  IoStartPacket(Device, Irp, NULL, NULL);
  return STATUS_PENDING;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeSpinLock(&Lock);
  DriverObject->DriverStartIo = StartIo;
  return CreateReader(DriverObject, &Device);
}
