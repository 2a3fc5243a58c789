/* Control codes, and opening and closing. Settings are kept when the port is not there to take them, and given to it when it is. */
#include "serial.h"

/* Changes settings, or looks at them, and at the chip if it can be touched, with the interrupt lock held as long as there is an interrupt, and a queue's. */
static VOID SerialChangeWith(PSERIAL_QUEUE Queue, PKSYNCHRONIZE_ROUTINE Routine, PVOID Context) {
  PSERIAL_PORT Port = Queue->Port;
  KIRQL OldIrql;
  KeAcquireSpinLock(&Queue->Lock, &OldIrql);
  if (Port->Started) {
    KeSynchronizeExecution(Port->Interrupt, Routine, Context);
  } else {
    Routine(Context);
  }
  KeReleaseSpinLock(&Queue->Lock, OldIrql);
}

static VOID SerialChange(PSERIAL_PORT Port, PKSYNCHRONIZE_ROUTINE Routine, PVOID Context) { SerialChangeWith(&Port->Reads, Routine, Context); }

/* What the routines below get: the port, and the buffer of the request. */
typedef struct _SERIAL_SETTING {
  PSERIAL_PORT Port;
  PVOID Buffer;
  NTSTATUS Status;
  ULONG Value;
} SERIAL_SETTING, *PSERIAL_SETTING;

static VOID SerialApply(PSERIAL_PORT Port) {
  if (Port->Started) SerialApplyLine(Port);
}

static BOOLEAN SerialSetBaudRate(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  PSERIAL_PORT Port = Setting->Port;
  const ULONG Wanted = ((PSERIAL_BAUD_RATE)Setting->Buffer)->BaudRate, Base = Port->Clock / 16;
  ULONG Divisor, Actual;
  Setting->Status = STATUS_INVALID_PARAMETER;
  if (Wanted == 0 || Wanted > Base) return FALSE;
  Divisor = (Base + Wanted / 2) / Wanted;
  if (Divisor == 0 || Divisor > 0xffff) return FALSE;
  Actual = Base / Divisor;
  if (max(Actual, Wanted) - min(Actual, Wanted) > Wanted / 25) return FALSE; /* a receiver bears some 4 % */
  Port->Divisor = (USHORT)Divisor;
  SerialApply(Port);
  Setting->Status = STATUS_SUCCESS;
  return TRUE;
}

static BOOLEAN SerialSetLineControl(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  const SERIAL_LINE_CONTROL* Line = Setting->Buffer;
  static const UCHAR Parities[] = {0, LCR_PARITY, LCR_PARITY | LCR_EVEN, LCR_PARITY | LCR_STICK, LCR_PARITY | LCR_EVEN | LCR_STICK};
  Setting->Status = STATUS_INVALID_PARAMETER;
  if (Line->WordLength < 5 || Line->WordLength > 8 || Line->Parity > SPACE_PARITY || Line->StopBits > STOP_BITS_2) return FALSE;
  /* The chip's longer stop bit is one and a half for words of five bits, and two for others. */
  if (Line->StopBits == (Line->WordLength == 5 ? STOP_BITS_2 : STOP_BITS_1_5)) return FALSE;
  Setting->Port->LineControl = (UCHAR)((Line->WordLength - 5) | (Line->StopBits != STOP_BIT_1 ? LCR_TWO_STOPS : 0) | Parities[Line->Parity]);
  SerialApply(Setting->Port);
  Setting->Status = STATUS_SUCCESS;
  return TRUE;
}

static VOID SerialTellLineControl(UCHAR Control, PSERIAL_LINE_CONTROL Line) {
  Line->WordLength = 5 + (Control & LCR_WORD_LENGTH);
  Line->StopBits = (Control & LCR_TWO_STOPS) == 0 ? STOP_BIT_1 : Line->WordLength == 5 ? STOP_BITS_1_5 : STOP_BITS_2;
  if ((Control & LCR_PARITY) == 0) {
    Line->Parity = NO_PARITY;
  } else if (Control & LCR_STICK) {
    Line->Parity = (Control & LCR_EVEN) ? SPACE_PARITY : MARK_PARITY;
  } else {
    Line->Parity = (Control & LCR_EVEN) ? EVEN_PARITY : ODD_PARITY;
  }
}

/* Value: bits to set, and in the upper half bits to clear. */
static BOOLEAN SerialSetModemControl(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  Setting->Port->ModemControl = (UCHAR)((Setting->Port->ModemControl & ~(Setting->Value >> 16)) | (Setting->Value & 0xffff));
  SerialApply(Setting->Port);
  return TRUE;
}

static BOOLEAN SerialSetBreak(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  Setting->Port->BreakOn = Setting->Value != 0;
  SerialApply(Setting->Port);
  return TRUE;
}

static BOOLEAN SerialSetHandFlow(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  PSERIAL_PORT Port = Setting->Port;
  const SERIAL_HANDFLOW* Flow = Setting->Buffer;
  Setting->Status = STATUS_INVALID_PARAMETER;
  /* No software handshake, and of the lines RTS and CTS. */
  if ((Flow->ControlHandShake & ~(SERIAL_DTR_CONTROL | SERIAL_CTS_HANDSHAKE)) != 0 || (Flow->FlowReplace & ~SERIAL_RTS_MASK) != 0 ||
      (Flow->FlowReplace & SERIAL_RTS_MASK) == SERIAL_TRANSMIT_TOGGLE || Flow->XonLimit < 0 || Flow->XoffLimit < 0 ||
      (ULONG)Flow->XonLimit > Port->RingBytes || (ULONG)Flow->XoffLimit > Port->RingBytes)
    return FALSE;
  Port->HandFlow = *Flow;
  Port->RtsHeld = FALSE;
  Port->ModemControl &= ~(MCR_DTR | MCR_RTS);
  if (Flow->ControlHandShake & SERIAL_DTR_CONTROL) Port->ModemControl |= MCR_DTR;
  if (Flow->FlowReplace & SERIAL_RTS_MASK) Port->ModemControl |= MCR_RTS;
  SerialApply(Port);
  Setting->Status = STATUS_SUCCESS;
  return TRUE;
}

/* Asking takes the errors back. */
static BOOLEAN SerialGetStatus(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  PSERIAL_PORT Port = Setting->Port;
  PSERIAL_STATUS Status = Setting->Buffer;
  RtlZeroMemory(Status, sizeof(*Status));
  Status->Errors = Port->Errors;
  Status->HoldReasons = Port->SendLeft != 0 ? Port->HoldReasons : 0;
  Status->AmountInInQueue = Port->RingCount;
  Status->AmountInOutQueue = Port->SendLeft;
  Port->Errors = 0;
  return TRUE;
}

static BOOLEAN SerialGetStatistics(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  RtlCopyMemory(Setting->Buffer, &Setting->Port->Statistics, sizeof(SERIALPERF_STATS));
  return TRUE;
}

static BOOLEAN SerialClearStatistics(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  RtlZeroMemory(&Setting->Port->Statistics, sizeof(SERIALPERF_STATS));
  return TRUE;
}

static BOOLEAN SerialSetWaitMask(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  Setting->Port->WaitMask = Setting->Value;
  Setting->Port->Events = 0;
  return TRUE;
}

static BOOLEAN SerialSetChars(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  RtlCopyMemory(&Setting->Port->Chars, Setting->Buffer, sizeof(SERIAL_CHARS));
  return TRUE;
}

static BOOLEAN SerialGetHandFlow(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  *(PSERIAL_HANDFLOW)Setting->Buffer = Setting->Port->HandFlow;
  return TRUE;
}

static BOOLEAN SerialGetChars(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  *(PSERIAL_CHARS)Setting->Buffer = Setting->Port->Chars;
  return TRUE;
}

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

/* A mask ends a wait for the one before, without events. */
static NTSTATUS SerialChangeWaitMask(PSERIAL_PORT Port, ULONG Mask) {
  SERIAL_SETTING Setting = {Port};
  PIRP Irp;
  if ((Mask & ~(SERIAL_EV_RXCHAR | SERIAL_EV_RXFLAG | SERIAL_EV_TXEMPTY | SERIAL_EV_CTS | SERIAL_EV_DSR | SERIAL_EV_RLSD | SERIAL_EV_BREAK |
                SERIAL_EV_ERR | SERIAL_EV_RING | SERIAL_EV_RX80FULL)) != 0)
    return STATUS_INVALID_PARAMETER;
  Setting.Value = Mask;
  SerialChangeWith(&Port->Waits, SerialSetWaitMask, &Setting); /* first: who begins to wait after it does so for the new mask */
  Irp = IoCsqRemoveNextIrp(&Port->Waits.Csq, NULL);
  if (Irp != NULL) {
    *(PULONG)Irp->AssociatedIrp.SystemBuffer = 0;
    SerialFinish(Port, Irp, STATUS_SUCCESS, sizeof(ULONG));
  }
  return STATUS_SUCCESS;
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

static VOID SerialTellProperties(ULONG RingBytes, PSERIAL_COMMPROP Properties) {
  RtlZeroMemory(Properties, sizeof(*Properties));
  Properties->PacketLength = sizeof(*Properties);
  Properties->PacketVersion = 2;
  Properties->ServiceMask = SERIAL_SP_SERIALCOMM;
  Properties->MaxBaud = SERIAL_BAUD_USER;
  Properties->ProvSubType = SERIAL_SP_RS232;
  Properties->ProvCapabilities = SERIAL_PCF_DTRDSR | SERIAL_PCF_RTSCTS | SERIAL_PCF_CD | SERIAL_PCF_PARITY_CHECK | SERIAL_PCF_SETXCHAR |
                                 SERIAL_PCF_TOTALTIMEOUTS | SERIAL_PCF_INTTIMEOUTS;
  Properties->SettableParams = SERIAL_SP_PARITY | SERIAL_SP_BAUD | SERIAL_SP_DATABITS | SERIAL_SP_STOPBITS | SERIAL_SP_HANDSHAKING;
  Properties->SettableBaud = SERIAL_BAUD_USER;
  Properties->SettableData = SERIAL_DATABITS_5 | SERIAL_DATABITS_6 | SERIAL_DATABITS_7 | SERIAL_DATABITS_8;
  Properties->SettableStopParity = SERIAL_STOPBITS_10 | SERIAL_STOPBITS_15 | SERIAL_STOPBITS_20 | SERIAL_PARITY_NONE | SERIAL_PARITY_ODD |
                                   SERIAL_PARITY_EVEN | SERIAL_PARITY_MARK | SERIAL_PARITY_SPACE;
  Properties->CurrentRxQueue = RingBytes;
}

/* What a control code asks for. */
static BOOLEAN SerialLook(PVOID Context) {
  PSERIAL_SETTING Setting = Context;
  const PSERIAL_PORT Port = Setting->Port;
  const PULONG Value = Setting->Buffer;
  switch (Setting->Value) {
    case IOCTL_SERIAL_GET_BAUD_RATE: *Value = Port->Clock / 16 / Port->Divisor; break;
    case IOCTL_SERIAL_GET_LINE_CONTROL: SerialTellLineControl(Port->LineControl, Setting->Buffer); break;
    case IOCTL_SERIAL_GET_WAIT_MASK: *Value = Port->WaitMask; break;
    case IOCTL_SERIAL_GET_MODEMSTATUS: *Value = Port->ModemStatus; break;
    case IOCTL_SERIAL_GET_DTRRTS: *Value = Port->ModemControl & (SERIAL_DTR_STATE | SERIAL_RTS_STATE); break;
    case IOCTL_SERIAL_GET_PROPERTIES: SerialTellProperties(Port->RingBytes, Setting->Buffer); break;
  }
  return TRUE;
}

static BOOLEAN SerialReset(PVOID Context) {
  PSERIAL_PORT Port = ((PSERIAL_SETTING)Context)->Port;
  Port->RingCount = 0;
  Port->BreakOn = Port->RtsHeld = FALSE;
  if (Port->Started) SerialProgramChip(Port);
  return TRUE;
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
  SERIAL_SETTING Setting = {Port, Buffer, STATUS_SUCCESS, 0};
  PKSYNCHRONIZE_ROUTINE Routine = NULL;
  switch (Code) {
    case IOCTL_SERIAL_SET_BAUD_RATE: Routine = SerialSetBaudRate; break;
    case IOCTL_SERIAL_SET_LINE_CONTROL: Routine = SerialSetLineControl; break;
    case IOCTL_SERIAL_SET_HANDFLOW: Routine = SerialSetHandFlow; break;
    case IOCTL_SERIAL_SET_CHARS: Routine = SerialSetChars; break;
    case IOCTL_SERIAL_GET_HANDFLOW: Routine = SerialGetHandFlow; break;
    case IOCTL_SERIAL_GET_CHARS: Routine = SerialGetChars; break;
    case IOCTL_SERIAL_GET_COMMSTATUS: Routine = SerialGetStatus; break;
    case IOCTL_SERIAL_GET_STATS: Routine = SerialGetStatistics; break;
    case IOCTL_SERIAL_CLEAR_STATS: Routine = SerialClearStatistics; break;
    case IOCTL_SERIAL_RESET_DEVICE: Routine = SerialReset; break;
    case IOCTL_SERIAL_SET_DTR: Setting.Value = MCR_DTR, Routine = SerialSetModemControl; break;
    case IOCTL_SERIAL_CLR_DTR: Setting.Value = MCR_DTR << 16, Routine = SerialSetModemControl; break;
    case IOCTL_SERIAL_SET_RTS: Setting.Value = MCR_RTS, Routine = SerialSetModemControl; break;
    case IOCTL_SERIAL_CLR_RTS: Setting.Value = MCR_RTS << 16, Routine = SerialSetModemControl; break;
    case IOCTL_SERIAL_SET_BREAK_ON: Setting.Value = TRUE, Routine = SerialSetBreak; break;
    case IOCTL_SERIAL_SET_BREAK_OFF: Routine = SerialSetBreak; break;
    case IOCTL_SERIAL_GET_TIMEOUTS: return SerialGetTimeouts(Port, Buffer);
    case IOCTL_SERIAL_SET_TIMEOUTS: return SerialSetTimeouts(Port, Buffer);
    case IOCTL_SERIAL_SET_QUEUE_SIZE: return SerialSetQueueSize(Port, ((PSERIAL_QUEUE_SIZE)Buffer)->InSize);
    case IOCTL_SERIAL_SET_WAIT_MASK: return SerialChangeWaitMask(Port, *(PULONG)Buffer);
    case IOCTL_SERIAL_PURGE: return SerialPurge(Port, *(PULONG)Buffer);
    case IOCTL_SERIAL_GET_BAUD_RATE:
    case IOCTL_SERIAL_GET_LINE_CONTROL:
    case IOCTL_SERIAL_GET_WAIT_MASK:
    case IOCTL_SERIAL_GET_MODEMSTATUS:
    case IOCTL_SERIAL_GET_DTRRTS:
    case IOCTL_SERIAL_GET_PROPERTIES: Setting.Value = Code, Routine = SerialLook; break;
  }
  if (Routine != NULL) SerialChange(Port, Routine, &Setting);
  return Setting.Status;
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

static BOOLEAN SerialTakeEvents(PVOID Context) {
  PSERIAL_TRANSFER Transfer = Context;
  Transfer->Done = Transfer->Port->Events;
  Transfer->Port->Events = 0;
  return TRUE;
}

/* Of a wait: with its queue's lock. */
BOOLEAN SerialFeedWait(PSERIAL_PORT Port, PIRP Irp) {
  SERIAL_TRANSFER Transfer = {Port};
  KeSynchronizeExecution(Port->Interrupt, SerialTakeEvents, &Transfer);
  if (Transfer.Done == 0) return FALSE;
  *(PULONG)Irp->AssociatedIrp.SystemBuffer = Transfer.Done;
  Irp->IoStatus.Information = sizeof(ULONG);
  SerialMarkDone(Irp, STATUS_SUCCESS);
  return TRUE;
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
