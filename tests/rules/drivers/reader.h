/* A device with one name, \Device\Reader, that is opened, read and closed. The driver says what Read does. */
#pragma once
#include "twin.h"

static NTSTATUS Read(PDEVICE_OBJECT Device, PIRP Irp);

static NTSTATUS Complete(PIRP Irp, NTSTATUS Status) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = 0;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

static NTSTATUS OpenOrClose(PDEVICE_OBJECT Device, PIRP Irp) {
  UNREFERENCED_PARAMETER(Device);
  return Complete(Irp, STATUS_SUCCESS);
}

static VOID DeleteReader(PDRIVER_OBJECT DriverObject) {
  if (DriverObject->DeviceObject != NULL) IoDeleteDevice(DriverObject->DeviceObject);
}

static NTSTATUS CreateReader(PDRIVER_OBJECT DriverObject, PDEVICE_OBJECT *Device) {
  UNICODE_STRING Name;
  RtlInitUnicodeString(&Name, L"\\Device\\Reader");
  DriverObject->MajorFunction[IRP_MJ_CREATE] = OpenOrClose;
  DriverObject->MajorFunction[IRP_MJ_CLOSE] = OpenOrClose;
  DriverObject->MajorFunction[IRP_MJ_CLEANUP] = OpenOrClose;
  DriverObject->MajorFunction[IRP_MJ_READ] = Read;
  DriverObject->DriverUnload = DeleteReader;
  return IoCreateDevice(DriverObject, 0, &Name, FILE_DEVICE_UNKNOWN, 0, FALSE, Device);
}
