/* A dispatch routine that returns inside a critical region. */
#include "reader.h"

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) { /* culprit */
  UNREFERENCED_PARAMETER(Device);
  KeEnterCriticalRegion();
#ifndef BAD
  KeLeaveCriticalRegion();
#endif
  return Complete(Irp, STATUS_SUCCESS);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  PDEVICE_OBJECT Device;
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateReader(DriverObject, &Device);
}
