/* A driver for serial ports with a 16550 UART, written from the chip's public data sheet and the documented interface of serial ports.
 *
 *   far end --> chip's FIFO --SerialIsr--> ring --SerialDpcForIsr--> the first read            IRP_MJ_WRITE --> the first write
 *                                                    ^ time-outs: two timers' DPCs                 |  SerialIsr, when the chip is empty
 *                                                                                               chip's FIFO --> far end
 *
 * Reads, writes and waits for events lie in cancel-safe queues; the first of each is worked on where it lies. A remove lock counts requests.
 *
 * Parameters (REG_DWORD), all optional:
 *   RxFIFO       the chip interrupts when it has so many bytes: 1, 4, 8 or 14 (8)
 *   TxFIFO       so many bytes are given to it at once: 1…16 (16)
 *   RingBytes    how much is kept that nobody has read (4096)
 *   ClockRate    of the chip's oscillator, Hz (1843200)
 *
 * This file: entry, unloading, and requests that only pass by. */
#include "serial.h"

#include "../parameters.h"

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD SerialUnload;
static DRIVER_DISPATCH SerialSystemControl;

ULONG SerialRxTrigger, SerialTxFifo, SerialRingBytes, SerialClock;

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, SerialUnload)
#endif

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  SerialRxTrigger = ReadParameter(RegistryPath, L"RxFIFO", 8);
  SerialTxFifo = ReadParameter(RegistryPath, L"TxFIFO", 16);
  SerialRingBytes = ReadParameter(RegistryPath, L"RingBytes", 4096);
  SerialClock = ReadParameter(RegistryPath, L"ClockRate", 1843200);
  if ((SerialRxTrigger != 1 && SerialRxTrigger != 4 && SerialRxTrigger != 8 && SerialRxTrigger != 14) || SerialTxFifo < 1 || SerialTxFifo > 16 ||
      SerialRingBytes < 16 || SerialClock < 16) {
    DbgPrint("serial: RxFIFO %u, TxFIFO %u, RingBytes %u or ClockRate %u cannot be\n", SerialRxTrigger, SerialTxFifo, SerialRingBytes, SerialClock);
    return STATUS_INVALID_PARAMETER;
  }
  DriverObject->DriverExtension->AddDevice = SerialAddDevice;
  DriverObject->DriverUnload = SerialUnload;
  DriverObject->MajorFunction[IRP_MJ_CREATE] = SerialOpen;
  DriverObject->MajorFunction[IRP_MJ_CLEANUP] = SerialCleanup;
  DriverObject->MajorFunction[IRP_MJ_CLOSE] = SerialClose;
  DriverObject->MajorFunction[IRP_MJ_READ] = SerialRead;
  DriverObject->MajorFunction[IRP_MJ_WRITE] = SerialWrite;
  DriverObject->MajorFunction[IRP_MJ_FLUSH_BUFFERS] = SerialFlush;
  DriverObject->MajorFunction[IRP_MJ_DEVICE_CONTROL] = SerialDeviceControl;
  DriverObject->MajorFunction[IRP_MJ_PNP] = SerialPnp;
  DriverObject->MajorFunction[IRP_MJ_POWER] = SerialPower;
  DriverObject->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = SerialSystemControl;
  return STATUS_SUCCESS;
}

static VOID SerialUnload(PDRIVER_OBJECT DriverObject) {
  PAGED_CODE();
  NT_ASSERT(DriverObject->DeviceObject == NULL);
  UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS SerialComplete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  Irp->IoStatus.Status = Status;
  Irp->IoStatus.Information = Information;
  IoCompleteRequest(Irp, IO_SERIAL_INCREMENT);
  return Status;
}

/* A request that the remove lock counts. */
NTSTATUS SerialFinish(PSERIAL_PORT Port, PIRP Irp, NTSTATUS Status, ULONG_PTR Information) {
  SerialComplete(Irp, Status, Information);
  IoReleaseRemoveLock(&Port->RemoveLock, Irp);
  return Status;
}

static NTSTATUS SerialSystemControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return SerialComplete(Irp, Status, 0);
  IoSkipCurrentIrpStackLocation(Irp);
  Status = IoCallDriver(Port->Lower, Irp);
  IoReleaseRemoveLock(&Port->RemoveLock, Irp);
  return Status;
}
