/* Writes, which the service routine feeds to the chip whenever that is empty, and flushes, which end when what was written before them has gone.
 * A write is done when the chip has its last byte. */
#include "serial.h"

BOOLEAN SerialFeedWrite(PSERIAL_PORT Port, PIRP Irp) {
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  const ULONG Length = Stack->MajorFunction == IRP_MJ_WRITE ? Stack->Parameters.Write.Length : 0;
  if (Length == 0) {
    SerialMarkDone(Irp, STATUS_SUCCESS);
    return TRUE;
  }
  if (SerialBegins(Irp)) {
    SERIAL_TRANSFER Transfer;
    ULONG Multiplier, Constant;
    ULONGLONG Total;
    Multiplier = Port->Timeouts.WriteTotalTimeoutMultiplier;
    Constant = Port->Timeouts.WriteTotalTimeoutConstant;
    Total = (ULONGLONG)Multiplier * Length + Constant;
    Port->WriteDue = Total != 0 ? SerialArm(&Port->WriteTimer, &Port->WriteDpc, Total) : 0;
    Transfer.Port = Port;
    Transfer.Buffer = Irp->AssociatedIrp.SystemBuffer;
    Transfer.Length = Length;
    KeSynchronizeExecution(Port->Interrupt, SerialBeginSend, &Transfer);
  } else if (KeSynchronizeExecution(Port->Interrupt, SerialSendIsOver, Port)) {
    SerialMarkDone(Irp, STATUS_SUCCESS);
  }
  return SerialIsDone(Irp);
}

/* With the lock of the writes: whatever the reason, the service routine must forget its buffer. */
VOID SerialWriteLeaves(PSERIAL_PORT Port, PIRP Irp) {
  SERIAL_TRANSFER Transfer;
  KeCancelTimer(&Port->WriteTimer);
  Port->WriteDue = 0;
  Transfer.Port = Port;
  Transfer.Done = 0;
  if (Port->Interrupt != NULL) {
    KeSynchronizeExecution(Port->Interrupt, SerialEndSend, &Transfer);
  } else {
    SerialEndSend(&Transfer); /* nobody else is there */
  }
  Irp->IoStatus.Information = IoGetCurrentIrpStackLocation(Irp)->Parameters.Write.Length - Transfer.Done;
}

VOID SerialWriteTimeout(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  PSERIAL_PORT Port = Context;
  PIRP Irp;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  KeAcquireSpinLockAtDpcLevel(&Port->Writes.Lock);
  Irp = SerialFirst(&Port->Writes);
  if (Irp != NULL && SerialHasBegun(Irp) && !SerialIsDone(Irp) && Port->WriteDue != 0 && KeQueryInterruptTime() >= Port->WriteDue)
    SerialMarkDone(Irp, STATUS_TIMEOUT);
  KeReleaseSpinLockFromDpcLevel(&Port->Writes.Lock);
  SerialFinishDone(&Port->Writes);
  SerialServe(&Port->Writes);
}

static NTSTATUS SerialQueueOutput(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return SerialComplete(Irp, Status, 0);
  return SerialEnqueue(&Port->Writes, Irp);
}

NTSTATUS SerialWrite(PDEVICE_OBJECT DeviceObject, PIRP Irp) { return SerialQueueOutput(DeviceObject, Irp); }
NTSTATUS SerialFlush(PDEVICE_OBJECT DeviceObject, PIRP Irp) { return SerialQueueOutput(DeviceObject, Irp); }
