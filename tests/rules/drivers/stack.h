/* As reader.h, with a second device below the one that is opened: Read is called for both, and passes on what comes from above. */
#pragma once
#include "reader.h"

static PDEVICE_OBJECT Lower;

static inline NTSTATUS PassDown(PIRP Irp) {
  IoCopyCurrentIrpStackLocationToNext(Irp);
  return IoCallDriver(Lower, Irp);
}

static VOID DeleteStack(PDRIVER_OBJECT DriverObject) {
  IoDetachDevice(Lower);
  while (DriverObject->DeviceObject != NULL) IoDeleteDevice(DriverObject->DeviceObject);
}

static NTSTATUS CreateStack(PDRIVER_OBJECT DriverObject) {
  PDEVICE_OBJECT Upper;
  NTSTATUS Status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Lower);
  if (!NT_SUCCESS(Status)) return Status;
  Lower->Flags &= ~DO_DEVICE_INITIALIZING; /* nobody attaches to a device that is not ready */
  Status = CreateReader(DriverObject, &Upper);
  if (!NT_SUCCESS(Status)) return Status;
  IoAttachDeviceToDeviceStack(Upper, Lower);
  DriverObject->DriverUnload = DeleteStack;
  return STATUS_SUCCESS;
}
