/* A driver for Intel High Definition Audio controllers that interrupt by messages: plays what applications write, 48 kHz 16-bit stereo.
 *
 *   write --StartIo--> ring of four periods, read by the controller for ever
 *                        ^                              | a period has been read: a message
 *                    HdaDpcForIsr <---IoRequestDpc--- HdaMessageIsr
 *
 * The controller never stops by itself. If the DPC comes later than the ring has sound, what was played last is heard once more: another kind of
 * drop-out than that of cards which fall silent.
 *
 * Written from the public High Definition Audio specification. This file: entry, unloading, and requests that only pass by. */
#include "hda.h"

#include "../parameters.h"

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD HdaUnload;
static DRIVER_DISPATCH HdaSucceed;
static DRIVER_DISPATCH HdaPower;
static DRIVER_DISPATCH HdaSystemControl;

ULONG HdaPeriodFrames;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  HdaPeriodFrames = ReadParameter(RegistryPath, L"PeriodFrames", 480);
  /* The controller reads 1024 frames at once when it starts; a ring should be longer. */
  if (HdaPeriodFrames < 256 || HdaPeriodFrames > 4800 || HdaPeriodFrames % 32 != 0) {
    DbgPrint("hda: PeriodFrames %u is not a multiple of 32 from 256 to 4800\n", HdaPeriodFrames);
    return STATUS_INVALID_PARAMETER;
  }
  DriverObject->DriverExtension->AddDevice = HdaAddDevice;
  DriverObject->DriverUnload = HdaUnload;
  DriverObject->DriverStartIo = HdaStartIo;
  DriverObject->MajorFunction[IRP_MJ_CREATE] = HdaSucceed;
  DriverObject->MajorFunction[IRP_MJ_CLEANUP] = HdaCleanup;
  DriverObject->MajorFunction[IRP_MJ_CLOSE] = HdaSucceed;
  DriverObject->MajorFunction[IRP_MJ_WRITE] = HdaQueue;
  DriverObject->MajorFunction[IRP_MJ_FLUSH_BUFFERS] = HdaQueue;
  DriverObject->MajorFunction[IRP_MJ_PNP] = HdaPnp;
  DriverObject->MajorFunction[IRP_MJ_POWER] = HdaPower;
  DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = HdaSystemControl;
  return STATUS_SUCCESS;
}

static VOID HdaUnload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS HdaComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = Information;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

static NTSTATUS HdaSucceed(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  UNREFERENCED_PARAMETER(DeviceObject);
  return HdaComplete(Irp, STATUS_SUCCESS, 0);
}

static NTSTATUS HdaPower(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Controller->RemoveLock, Irp);
  PoStartNextPowerIrp(Irp);
  if (!NT_SUCCESS(Status)) return HdaComplete(Irp, Status, 0);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = PoCallDriver(Controller->Lower, Irp);
  IoReleaseRemoveLock(&Controller->RemoveLock, Irp);
  return Status;
}

static NTSTATUS HdaSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PHDA_CONTROLLER Controller = HdaController(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Controller->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return HdaComplete(Irp, Status, 0);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Controller->Lower, Irp);
  IoReleaseRemoveLock(&Controller->RemoveLock, Irp);
  return Status;
}
