/* A driver for AC'97 sound cards: plays what applications write, in periods of 10 ms, four of them ahead of the card.
 *
 *   write ---queue--> Ac97Fill --periods--> ring --LVI--> card
 *                        ^                                  | a period has been read
 *                   Ac97DpcForIsr <---IoRequestDpc--- Ac97Isr
 *
 * The ISR only silences the card's request. Everything else is done by the DPC: it sees how far the card has come, refills the ring from the
 * queued writes, tells the card, and completes the writes that are used up. If it comes later than the card has periods, there is a drop-out.
 *
 * Written from the AC '97 and ICH data sheets' public register descriptions. This file: entry, unloading, and requests that only pass by. */
#include "ac97.h"

#include "../parameters.h"

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD Ac97Unload;
static DRIVER_DISPATCH Ac97Power;
static DRIVER_DISPATCH Ac97SystemControl;

ULONG Ac97PeriodFrames;
ULONG Ac97PeriodsAhead;

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  Ac97PeriodFrames = ReadParameter(RegistryPath, L"PeriodFrames", AC97_FRAMES_PER_SECOND / 100);
  Ac97PeriodsAhead = ReadParameter(RegistryPath, L"PeriodsAhead", 4);
  /* A descriptor counts at most 65535 samples. One of the 32 stays free, or a full ring would look like an empty one. */
  if (Ac97PeriodFrames == 0 || Ac97PeriodFrames > 32767 || Ac97PeriodsAhead < 2 || Ac97PeriodsAhead >= RING_SIZE) {
    DbgPrint("ac97: PeriodFrames %u or PeriodsAhead %u is out of range\n", Ac97PeriodFrames, Ac97PeriodsAhead);
    return STATUS_INVALID_PARAMETER;
  }

  DriverObject->DriverExtension->AddDevice = Ac97AddDevice;
  DriverObject->DriverUnload = Ac97Unload;
  DriverObject->MajorFunction[IRP_MJ_CREATE] = Ac97Create;
  DriverObject->MajorFunction[IRP_MJ_CLOSE] = Ac97Close;
  DriverObject->MajorFunction[IRP_MJ_CLEANUP] = Ac97Cleanup;
  DriverObject->MajorFunction[IRP_MJ_WRITE] = Ac97Write;
  DriverObject->MajorFunction[IRP_MJ_FLUSH_BUFFERS] = Ac97Drain;
  DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Ac97DeviceControl;
  DriverObject->MajorFunction[IRP_MJ_PNP] = Ac97Pnp;
  DriverObject->MajorFunction[IRP_MJ_POWER] = Ac97Power;
  DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = Ac97SystemControl;
  return STATUS_SUCCESS;
}

/* Every card has been removed by now. */
static VOID Ac97Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

NTSTATUS Ac97Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = Information;
  IoCompleteRequest(Irp, IO_NO_INCREMENT);
  return Status;
}

NTSTATUS Ac97PassDown(PAC97_CARD Card, PIRP Irp) {
  IoSkipCurrentIrpStackLocation(Irp);
  return IoCallDriver(Card->Lower, Irp);
}

static NTSTATUS Ac97Power(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  PoStartNextPowerIrp(Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = PoCallDriver(Card->Lower, Irp);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}

static NTSTATUS Ac97SystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PAC97_CARD Card = Ac97Card(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Card->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return Ac97Complete(Irp, Status, 0);
  Status = Ac97PassDown(Card, Irp);
  IoReleaseRemoveLock(&Card->RemoveLock, Irp);
  return Status;
}
