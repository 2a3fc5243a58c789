/* Reads, and when they end: with all their bytes, after the total time, or when no byte has come for the interval.
 *
 * As documented for SERIAL_TIMEOUTS: an interval of MAXULONG with nothing else ends a read at once, with what is there; with a multiplier of MAXULONG
 * and a constant, a read ends with the first bytes, or after the constant without any. */
#include "serial.h"

#define UNITS_PER_MILLISECOND 10000 /* of 100 ns */

/* Returns when it is due, as an interrupt time. */
ULONGLONG SerialArm(PKTIMER Timer, PKDPC Dpc, ULONGLONG Milliseconds) {
  LARGE_INTEGER DueTime;
  const ULONGLONG Due = KeQueryInterruptTime() + Milliseconds * UNITS_PER_MILLISECOND;
  DueTime.QuadPart = -(LONGLONG)(Milliseconds * UNITS_PER_MILLISECOND);
  KeSetTimer(Timer, DueTime, Dpc);
  return Due;
}

/* With the lock of the reads. */
static VOID SerialBeginRead(PSERIAL_PORT Port, ULONG Length) {
  const SERIAL_TIMEOUTS* Timeouts = &Port->Timeouts;
  const ULONG Multiplier = Timeouts->ReadTotalTimeoutMultiplier, Constant = Timeouts->ReadTotalTimeoutConstant;
  ULONGLONG Total = (ULONGLONG)Multiplier * Length + Constant;
  Port->ReadNeverWaits = Port->ReadTakesAny = FALSE;
  Port->ReadInterval = Timeouts->ReadIntervalTimeout;
  if (Timeouts->ReadIntervalTimeout == MAXULONG) {
    Port->ReadInterval = 0;
    Port->ReadNeverWaits = Total == 0;
    Port->ReadTakesAny = Multiplier == MAXULONG && Constant != 0 && Constant != MAXULONG;
    if (Port->ReadTakesAny) Total = Constant;
  }
  Port->ReadIntervalDue = 0;
  Port->ReadTotalDue = Total != 0 ? SerialArm(&Port->ReadTotalTimer, &Port->ReadTotalDpc, Total) : 0;
}

BOOLEAN SerialFeedRead(PSERIAL_PORT Port, PIRP Irp) {
  const ULONG Length = IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length;
  SERIAL_TRANSFER Transfer;
  if (SerialBegins(Irp)) SerialBeginRead(Port, Length);
  Transfer.Port = Port;
  Transfer.Buffer = (PUCHAR)Irp->AssociatedIrp.SystemBuffer + Irp->IoStatus.Information;
  Transfer.Length = Length - (ULONG)Irp->IoStatus.Information;
  KeSynchronizeExecution(Port->Interrupt, SerialTakeBytes, &Transfer);
  Irp->IoStatus.Information += Transfer.Done;
  if (Irp->IoStatus.Information == Length || Port->ReadNeverWaits || (Port->ReadTakesAny && Irp->IoStatus.Information != 0)) {
    SerialMarkDone(Irp, STATUS_SUCCESS);
  } else if (Transfer.Done != 0 && Port->ReadInterval != 0) {
    Port->ReadIntervalDue = SerialArm(&Port->ReadIntervalTimer, &Port->ReadIntervalDpc, Port->ReadInterval);
  }
  return SerialIsDone(Irp);
}

/* With the lock of the reads: the first read is no longer that. */
VOID SerialReadLeaves(PSERIAL_PORT Port, PIRP Irp) {
  UNREFERENCED_PARAMETER(Irp);
  KeCancelTimer(&Port->ReadTotalTimer);
  KeCancelTimer(&Port->ReadIntervalTimer);
  Port->ReadTotalDue = Port->ReadIntervalDue = 0;
}

/* A timer's DPC may come for a read that is gone already: what counts is when the read which is the first one now is due. */
static VOID SerialReadTimesOut(PSERIAL_PORT Port, const ULONGLONG* Due) {
  PIRP Irp;
  KeAcquireSpinLockAtDpcLevel(&Port->Reads.Lock);
  Irp = SerialFirst(&Port->Reads);
  if (Irp != NULL && SerialHasBegun(Irp) && !SerialIsDone(Irp)) {
    if (Port->Started) SerialFeedRead(Port, Irp); /* bytes that came last */
    if (!SerialIsDone(Irp) && *Due != 0 && KeQueryInterruptTime() >= *Due) SerialMarkDone(Irp, STATUS_TIMEOUT);
  }
  KeReleaseSpinLockFromDpcLevel(&Port->Reads.Lock);
  SerialFinishDone(&Port->Reads);
  SerialServe(&Port->Reads);
}

VOID SerialReadTotalTimeout(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  PSERIAL_PORT Port = Context;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  SerialReadTimesOut(Port, &Port->ReadTotalDue);
}

VOID SerialReadIntervalTimeout(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  PSERIAL_PORT Port = Context;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  SerialReadTimesOut(Port, &Port->ReadIntervalDue);
}

NTSTATUS SerialRead(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return SerialComplete(Irp, Status, 0);
  if (IoGetCurrentIrpStackLocation(Irp)->Parameters.Read.Length == 0) return SerialFinish(Port, Irp, STATUS_SUCCESS, 0);
  return SerialEnqueue(&Port->Reads, Irp);
}
