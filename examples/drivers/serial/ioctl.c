/* Control codes, and opening and closing. */
#include "serial.h"

static BOOLEAN SerialTakeRing(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  PSERIAL_PORT Port = Setting->Port;
  PUCHAR Larger = Setting->Buffer;
  ULONG Index;
  if (Setting->Value <= Port->RingBytes) return FALSE;
  for (Index = 0; Index < Port->RingCount; ++Index) Larger[Index] = Port->Ring[(Port->RingFirst + Index) % Port->RingBytes];
  Setting->Buffer = Port->Ring;
  Port->Ring = Larger;
  Port->RingBytes = Setting->Value;
  Port->RingFirst = 0;
  return TRUE;
}

/* A ring only grows. */
static NTSTATUS SerialSetQueueSize(PSERIAL_PORT Port, ULONG InSize) {
  SERIAL_SETTING Setting = {Port};
  if (InSize == 0) return STATUS_SUCCESS;
  Setting.Value = InSize;
  Setting.Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, InSize, SERIAL_TAG);
  if (Setting.Buffer == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  SerialChange(Port, SerialTakeRing, &Setting);
  ExFreePoolWithTag(Setting.Buffer, SERIAL_TAG);
  return STATUS_SUCCESS;
}

static BOOLEAN SerialClearInput(PVOID Context) {
  PSERIAL_PORT Port = ((PSERIAL_SETTING)Context)->Port;
  if (Port->Started) return SerialForgetInput(Port);
  Port->RingCount = 0;
  return TRUE;
}

static NTSTATUS SerialPurge(PSERIAL_PORT Port, ULONG Mask) {
  SERIAL_SETTING Setting = {Port};
  if (Mask == 0 || (Mask & ~(SERIAL_PURGE_TXABORT | SERIAL_PURGE_RXABORT | SERIAL_PURGE_TXCLEAR | SERIAL_PURGE_RXCLEAR)) != 0)
    return STATUS_INVALID_PARAMETER;
  if (Mask & SERIAL_PURGE_TXABORT) SerialAbort(&Port->Writes, NULL, STATUS_CANCELLED);
  if (Mask & SERIAL_PURGE_RXABORT) SerialAbort(&Port->Reads, NULL, STATUS_CANCELLED);
  if (Mask & SERIAL_PURGE_RXCLEAR) SerialChange(Port, SerialClearInput, &Setting);
  return STATUS_SUCCESS; /* what is to be sent lies with the writes: there is nothing else to clear */
}

static NTSTATUS SerialSetTimeouts(PSERIAL_PORT Port, const SERIAL_TIMEOUTS* Timeouts) {
  KIRQL OldIrql;
  if (Timeouts->ReadIntervalTimeout == MAXULONG && Timeouts->ReadTotalTimeoutMultiplier == MAXULONG && Timeouts->ReadTotalTimeoutConstant == MAXULONG)
    return STATUS_INVALID_PARAMETER;
  SerialLockAll(Port, &OldIrql);
  Port->Timeouts = *Timeouts; /* of requests that begin from now on */
  SerialUnlockAll(Port, OldIrql);
  return STATUS_SUCCESS;
}

static NTSTATUS SerialGetTimeouts(PSERIAL_PORT Port, PSERIAL_TIMEOUTS Timeouts) {
  KIRQL OldIrql;
  KeAcquireSpinLock(&Port->Reads.Lock, &OldIrql);
  *Timeouts = Port->Timeouts;
  KeReleaseSpinLock(&Port->Reads.Lock, OldIrql);
  return STATUS_SUCCESS;
}

/* How large the buffers of a control code have to be; 0 and 0: there is no such code. */
static BOOLEAN SerialSizes(ULONG Code, PULONG In, PULONG Out) {
  *In = *Out = 0;
  switch (Code) {
    case IOCTL_SERIAL_SET_BAUD_RATE: *In = sizeof(SERIAL_BAUD_RATE); return TRUE;
    case IOCTL_SERIAL_GET_BAUD_RATE: *Out = sizeof(SERIAL_BAUD_RATE); return TRUE;
    case IOCTL_SERIAL_SET_LINE_CONTROL: *In = sizeof(SERIAL_LINE_CONTROL); return TRUE;
    case IOCTL_SERIAL_GET_LINE_CONTROL: *Out = sizeof(SERIAL_LINE_CONTROL); return TRUE;
    case IOCTL_SERIAL_SET_TIMEOUTS: *In = sizeof(SERIAL_TIMEOUTS); return TRUE;
    case IOCTL_SERIAL_GET_TIMEOUTS: *Out = sizeof(SERIAL_TIMEOUTS); return TRUE;
    case IOCTL_SERIAL_SET_HANDFLOW: *In = sizeof(SERIAL_HANDFLOW); return TRUE;
    case IOCTL_SERIAL_GET_HANDFLOW: *Out = sizeof(SERIAL_HANDFLOW); return TRUE;
    case IOCTL_SERIAL_SET_CHARS: *In = sizeof(SERIAL_CHARS); return TRUE;
    case IOCTL_SERIAL_GET_CHARS: *Out = sizeof(SERIAL_CHARS); return TRUE;
    case IOCTL_SERIAL_SET_QUEUE_SIZE: *In = sizeof(SERIAL_QUEUE_SIZE); return TRUE;
    case IOCTL_SERIAL_SET_WAIT_MASK:
    case IOCTL_SERIAL_PURGE: *In = sizeof(ULONG); return TRUE;
    case IOCTL_SERIAL_GET_WAIT_MASK:
    case IOCTL_SERIAL_WAIT_ON_MASK:
    case IOCTL_SERIAL_GET_DTRRTS:
    case IOCTL_SERIAL_GET_MODEMSTATUS: *Out = sizeof(ULONG); return TRUE;
    case IOCTL_SERIAL_GET_COMMSTATUS: *Out = sizeof(SERIAL_STATUS); return TRUE;
    case IOCTL_SERIAL_GET_STATS: *Out = sizeof(SERIALPERF_STATS); return TRUE;
    case IOCTL_SERIAL_GET_PROPERTIES: *Out = sizeof(SERIAL_COMMPROP); return TRUE;
    case IOCTL_SERIAL_SET_DTR:
    case IOCTL_SERIAL_CLR_DTR:
    case IOCTL_SERIAL_SET_RTS:
    case IOCTL_SERIAL_CLR_RTS:
    case IOCTL_SERIAL_SET_BREAK_ON:
    case IOCTL_SERIAL_SET_BREAK_OFF:
    case IOCTL_SERIAL_CLEAR_STATS:
    case IOCTL_SERIAL_RESET_DEVICE: return TRUE;
    default: return FALSE;
  }
}

static NTSTATUS SerialControl(PSERIAL_PORT Port, ULONG Code, PVOID Buffer) {
  switch (Code) {
    case IOCTL_SERIAL_GET_TIMEOUTS: return SerialGetTimeouts(Port, Buffer);
    case IOCTL_SERIAL_SET_TIMEOUTS: return SerialSetTimeouts(Port, Buffer);
    case IOCTL_SERIAL_SET_QUEUE_SIZE: return SerialSetQueueSize(Port, ((PSERIAL_QUEUE_SIZE)Buffer)->InSize);
    case IOCTL_SERIAL_SET_WAIT_MASK: return SerialChangeWaitMask(Port, *(PULONG)Buffer);
    case IOCTL_SERIAL_PURGE: return SerialPurge(Port, *(PULONG)Buffer);
    default: return SerialControlSetting(Port, Code, Buffer);
  }
}

NTSTATUS SerialDeviceControl(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  PIO_STACK_LOCATION Stack = IoGetCurrentIrpStackLocation(Irp);
  const ULONG Code = Stack->Parameters.DeviceIoControl.IoControlCode;
  ULONG In, Out;
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return SerialComplete(Irp, Status, 0);
  if (!SerialSizes(Code, &In, &Out)) return SerialFinish(Port, Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
  if (Stack->Parameters.DeviceIoControl.InputBufferLength < In || Stack->Parameters.DeviceIoControl.OutputBufferLength < Out)
    return SerialFinish(Port, Irp, STATUS_BUFFER_TOO_SMALL, 0);
  if (Code == IOCTL_SERIAL_WAIT_ON_MASK) return SerialEnqueue(&Port->Waits, Irp);
  Status = SerialControl(Port, Code, Irp->AssociatedIrp.SystemBuffer);
  return SerialFinish(Port, Irp, Status, NT_SUCCESS(Status) ? Out : 0);
}

/* -- opening and closing -------------------------------------------------------------------------------------------------------------------- */

/* The chip interrupts while somebody has the port open, and not otherwise. */
static BOOLEAN SerialOpenChip(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  PSERIAL_PORT Port = Setting->Port;
  Port->RingCount = 0;
  Port->Errors = Port->WaitMask = Port->Events = 0;
  RtlZeroMemory(&Port->Statistics, sizeof(Port->Statistics));
  Port->HandFlow.ControlHandShake = SERIAL_DTR_CONTROL;
  Port->HandFlow.FlowReplace = SERIAL_RTS_CONTROL;
  Port->HandFlow.XonLimit = (LONG)(Port->RingBytes / 2);
  Port->HandFlow.XoffLimit = (LONG)(Port->RingBytes / 8);
  Port->RtsHeld = Port->BreakOn = FALSE;
  Port->ModemControl = MCR_OUT2 | MCR_DTR | MCR_RTS;
  Port->InterruptEnable = IER_ALL;
  if (Port->Started) SerialProgramChip(Port);
  return TRUE;
}

static BOOLEAN SerialCloseChip(PVOID Context) {
  PSERIAL_PORT Port = ((PSERIAL_SETTING)Context)->Port;
  Port->InterruptEnable = 0;
  Port->ModemControl = 0;
  Port->BreakOn = Port->RtsHeld = FALSE;
  if (Port->Started) SerialQuietChip(Port);
  return TRUE;
}

/* At this moment; with no lock held it may change at once. */
static BOOLEAN SerialIsStarted(PSERIAL_PORT Port) {
  BOOLEAN Started;
  KIRQL OldIrql;
  KeAcquireSpinLock(&Port->Reads.Lock, &OldIrql);
  Started = Port->Started && !Port->Gone;
  KeReleaseSpinLock(&Port->Reads.Lock, OldIrql);
  return Started;
}

NTSTATUS SerialOpen(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  SERIAL_SETTING Setting = {Port};
  NTSTATUS Status = IoAcquireRemoveLock(&Port->RemoveLock, Irp);
  if (!NT_SUCCESS(Status)) return SerialComplete(Irp, Status, 0);
  if (!SerialIsStarted(Port)) {
    Status = STATUS_DEVICE_NOT_READY;
  } else if (InterlockedCompareExchange(&Port->Opened, TRUE, FALSE)) {
    Status = STATUS_ACCESS_DENIED;
  } else {
    RtlZeroMemory(&Port->Timeouts, sizeof(Port->Timeouts)); /* nobody reads yet */
    SerialChange(Port, SerialOpenChip, &Setting);
  }
  return SerialFinish(Port, Irp, Status, 0);
}

NTSTATUS SerialCleanup(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  PFILE_OBJECT File = IoGetCurrentIrpStackLocation(Irp)->FileObject;
  SerialAbort(&Port->Reads, File, STATUS_CANCELLED);
  SerialAbort(&Port->Writes, File, STATUS_CANCELLED);
  SerialAbort(&Port->Waits, File, STATUS_CANCELLED);
  return SerialComplete(Irp, STATUS_SUCCESS, 0);
}

NTSTATUS SerialClose(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  SERIAL_SETTING Setting = {Port};
  SerialChange(Port, SerialCloseChip, &Setting);
  InterlockedExchange(&Port->Opened, FALSE);
  return SerialComplete(Irp, STATUS_SUCCESS, 0);
}
