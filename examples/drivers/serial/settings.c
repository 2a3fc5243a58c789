/* What control codes set of the port, and ask of it: kept when the port is not there to take it, and given to it when it is. */
#include "serial.h"

VOID SerialChangeWith(PSERIAL_QUEUE Queue, PKSYNCHRONIZE_ROUTINE Routine, PSERIAL_SETTING Setting) {
  PSERIAL_PORT Port = Queue->Port;
  KIRQL OldIrql;
  KeAcquireSpinLock(&Queue->Lock, &OldIrql);
  if (Port->Started) {
    KeSynchronizeExecution(Port->Interrupt, Routine, Setting);
  } else {
    Routine(Setting);
  }
  KeReleaseSpinLock(&Queue->Lock, OldIrql);
}

VOID SerialChange(PSERIAL_PORT Port, PKSYNCHRONIZE_ROUTINE Routine, PSERIAL_SETTING Setting) { SerialChangeWith(&Port->Reads, Routine, Setting); }

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

NTSTATUS SerialControlSetting(PSERIAL_PORT Port, ULONG Code, PVOID Buffer) {
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
