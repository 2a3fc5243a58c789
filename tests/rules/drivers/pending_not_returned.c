/* An IRP marked pending, completed at once, and its status returned. */
#include "stack.h"

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp) { /* culprit */
  if (Device != Lower) return PassDown(Irp);
  IoMarkIrpPending(Irp);
  Complete(Irp, STATUS_SUCCESS);
  return BAD_OR_GOOD(STATUS_SUCCESS, STATUS_PENDING);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(RegistryPath);
  return CreateStack(DriverObject);
}
