/* An error is returned and the IRP is not completed with it. */
#include "stack.h"

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) { /* culprit */
  if (Device != Lower) return PassDown(Irp);
#ifdef BAD
  return STATUS_INVALID_PARAMETER;
#else
  return Complete(Irp, STATUS_INVALID_PARAMETER);
#endif
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateStack(DriverObject);
}
