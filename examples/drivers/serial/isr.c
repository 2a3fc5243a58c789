/* The chip: the service routine, its DPC, and what others do to the chip with the interrupt lock held. */
#include "serial.h"

static UCHAR SerialIn(PSERIAL_PORT Port, ULONG Register) {
  return Port->InMemory ? READ_REGISTER_UCHAR(Port->Registers + Register) : READ_PORT_UCHAR(Port->Registers + Register);
}

static VOID SerialOut(PSERIAL_PORT Port, ULONG Register, UCHAR Value) {
  if (Port->InMemory) {
    WRITE_REGISTER_UCHAR(Port->Registers + Register, Value);
  } else {
    WRITE_PORT_UCHAR(Port->Registers + Register, Value);
  }
}

static VOID SerialSetModemControl(PSERIAL_PORT Port) {
  SerialOut(Port, UART_MCR, Port->RtsHeld ? Port->ModemControl & ~MCR_RTS : Port->ModemControl);
}

static VOID SerialNote(PSERIAL_PORT Port, ULONG Events) { Port->Events |= Events & Port->WaitMask; }

/* -- receiving ------------------------------------------------------------------------------------------------------------------------------ */

static VOID SerialNoteErrors(PSERIAL_PORT Port, UCHAR LineStatus) {
  if (LineStatus & LSR_OVERRUN) {
    Port->Statistics.SerialOverrunErrorCount++;
    Port->Errors |= SERIAL_ERROR_OVERRUN;
  }
  if (LineStatus & LSR_BREAK) {
    Port->Errors |= SERIAL_ERROR_BREAK;
    SerialNote(Port, SERIAL_EV_BREAK);
    LineStatus &= ~(LSR_FRAMING | LSR_PARITY); /* a part of it */
  }
  if (LineStatus & LSR_PARITY) {
    Port->Statistics.ParityErrorCount++;
    Port->Errors |= SERIAL_ERROR_PARITY;
  }
  if (LineStatus & LSR_FRAMING) {
    Port->Statistics.FrameErrorCount++;
    Port->Errors |= SERIAL_ERROR_FRAMING;
  }
  if (LineStatus & (LSR_OVERRUN | LSR_PARITY | LSR_FRAMING)) SerialNote(Port, SERIAL_EV_ERR);
}

static BOOLEAN SerialWantsRts(PSERIAL_PORT Port) { return (Port->HandFlow.FlowReplace & SERIAL_RTS_MASK) == SERIAL_RTS_HANDSHAKE; }

static VOID SerialKeep(PSERIAL_PORT Port, UCHAR Byte) {
  Port->Statistics.ReceivedCount++;
  SerialNote(Port, SERIAL_EV_RXCHAR);
  if (Byte == Port->Chars.EventChar) SerialNote(Port, SERIAL_EV_RXFLAG);
  if (Port->RingCount == Port->RingBytes) {
    Port->Statistics.BufferOverrunErrorCount++;
    Port->Errors |= SERIAL_ERROR_QUEUEOVERRUN;
    SerialNote(Port, SERIAL_EV_ERR);
    return;
  }
  Port->Ring[(Port->RingFirst + Port->RingCount++) % Port->RingBytes] = Byte;
  if (Port->RingCount == Port->RingBytes - Port->RingBytes / 5) SerialNote(Port, SERIAL_EV_RX80FULL);
  if (SerialWantsRts(Port) && !Port->RtsHeld && Port->RingCount + Port->HandFlow.XoffLimit >= Port->RingBytes) {
    Port->RtsHeld = TRUE;
    SerialSetModemControl(Port);
  }
}

/* All that is there. The status belongs to the byte that is read after it. */
static VOID SerialReceive(PSERIAL_PORT Port) {
  ULONG Most; /* a chip that is pulled out while this goes on says that it has characters for ever */
  for (Most = 256; Most != 0; --Most) {
    const UCHAR LineStatus = SerialIn(Port, UART_LSR);
    if (LineStatus == 0xff && SerialIn(Port, UART_IIR) == 0xff) return;
    SerialNoteErrors(Port, LineStatus);
    if ((LineStatus & LSR_READY) == 0) return;
    if (LineStatus & LSR_BREAK) {
      SerialIn(Port, UART_DATA);
    } else {
      SerialKeep(Port, SerialIn(Port, UART_DATA));
    }
  }
}

BOOLEAN SerialTakeBytes(PVOID Context) {
  PSERIAL_TRANSFER Transfer = Context;
  PSERIAL_PORT Port = Transfer->Port;
  Transfer->Done = min(Transfer->Length, Port->RingCount);
  {
    const ULONG Piece = min(Transfer->Done, Port->RingBytes - Port->RingFirst);
    RtlCopyMemory(Transfer->Buffer, Port->Ring + Port->RingFirst, Piece);
    RtlCopyMemory(Transfer->Buffer + Piece, Port->Ring, Transfer->Done - Piece);
  }
  Port->RingFirst = (Port->RingFirst + Transfer->Done) % Port->RingBytes;
  Port->RingCount -= Transfer->Done;
  if (Port->RtsHeld && Port->RingCount <= (ULONG)Port->HandFlow.XonLimit) {
    Port->RtsHeld = FALSE;
    SerialSetModemControl(Port);
  }
  return TRUE;
}

BOOLEAN SerialForgetInput(PVOID Context) {
  PSERIAL_PORT Port = Context;
  SerialOut(Port, UART_FCR, Port->FifoControl | FCR_RESET_RECEIVER);
  Port->RingCount = 0;
  if (Port->RtsHeld) {
    Port->RtsHeld = FALSE;
    SerialSetModemControl(Port);
  }
  return TRUE;
}

/* -- sending -------------------------------------------------------------------------------------------------------------------------------- */

static BOOLEAN SerialMaySend(PSERIAL_PORT Port) {
  const BOOLEAN May = (Port->HandFlow.ControlHandShake & SERIAL_CTS_HANDSHAKE) == 0 || (Port->ModemStatus & MSR_CTS) != 0;
  Port->HoldReasons = (May ? 0 : SERIAL_TX_WAITING_FOR_CTS) | (Port->BreakOn ? SERIAL_TX_WAITING_ON_BREAK : 0);
  return Port->HoldReasons == 0;
}

/* The chip is empty. TRUE: the current write has nothing more to give it. */
static BOOLEAN SerialSend(PSERIAL_PORT Port) {
  ULONG Count;
  if (Port->SendLeft == 0) {
    SerialNote(Port, SERIAL_EV_TXEMPTY);
    return FALSE;
  }
  if (!SerialMaySend(Port)) return FALSE;
  for (Count = min(Port->SendLeft, Port->TxFifo); Count != 0; --Count) {
    SerialOut(Port, UART_DATA, *Port->SendNext++);
    Port->SendLeft--;
    Port->Statistics.TransmittedCount++;
  }
  return Port->SendLeft == 0;
}

/* Switched off and on, the enable bit makes the chip say once more that it is empty, if it is; the rest is the service routine's. */
static VOID SerialPokeTransmitter(PSERIAL_PORT Port) {
  SerialOut(Port, UART_IER, Port->InterruptEnable & ~IER_HOLDING_EMPTY);
  SerialOut(Port, UART_IER, Port->InterruptEnable);
}

BOOLEAN SerialBeginSend(PVOID Context) {
  PSERIAL_TRANSFER Transfer = Context;
  PSERIAL_PORT Port = Transfer->Port;
  Port->SendNext = Transfer->Buffer;
  Port->SendLeft = Transfer->Length;
  SerialPokeTransmitter(Port);
  return TRUE;
}

BOOLEAN SerialEndSend(PVOID Context) {
  PSERIAL_TRANSFER Transfer = Context;
  Transfer->Done = Transfer->Port->SendLeft;
  Transfer->Port->SendLeft = 0;
  Transfer->Port->SendNext = NULL;
  return TRUE;
}

BOOLEAN SerialSendIsOver(PVOID Context) { return ((PSERIAL_PORT)Context)->SendLeft == 0; }

/* -- the line ------------------------------------------------------------------------------------------------------------------------------- */

BOOLEAN SerialApplyLine(PVOID Context) {
  PSERIAL_PORT Port = Context;
  const UCHAR LineControl = Port->BreakOn ? Port->LineControl | LCR_BREAK : Port->LineControl;
  SerialOut(Port, UART_LCR, LineControl | LCR_DIVISOR);
  SerialOut(Port, UART_DATA, (UCHAR)Port->Divisor);
  SerialOut(Port, UART_IER, (UCHAR)(Port->Divisor >> 8));
  SerialOut(Port, UART_LCR, LineControl);
  SerialSetModemControl(Port);
  if (Port->InterruptEnable != 0 && Port->SendLeft != 0) SerialPokeTransmitter(Port);
  return TRUE;
}

/* Everything the chip has to know, from a reset on. */
BOOLEAN SerialProgramChip(PVOID Context) {
  PSERIAL_PORT Port = Context;
  SerialOut(Port, UART_IER, 0);
  SerialOut(Port, UART_FCR, 0);
  SerialOut(Port, UART_FCR, Port->FifoControl | FCR_RESET_RECEIVER | FCR_RESET_TRANSMITTER);
  SerialApplyLine(Port);
  SerialIn(Port, UART_LSR);
  SerialIn(Port, UART_DATA);
  Port->ModemStatus = SerialIn(Port, UART_MSR) & MSR_LINES;
  Port->Listens = TRUE;
  SerialOut(Port, UART_IER, Port->InterruptEnable);
  return TRUE;
}

/* An interrupt may be under way until it is disconnected; from here on it finds nothing to do, and others need not care for it. */
BOOLEAN SerialIgnoreChip(PVOID Context) {
  PSERIAL_PORT Port = Context;
  Port->Listens = FALSE;
  return TRUE;
}

BOOLEAN SerialQuietChip(PVOID Context) {
  PSERIAL_PORT Port = Context;
  SerialIgnoreChip(Port);
  SerialOut(Port, UART_IER, 0);
  SerialOut(Port, UART_MCR, 0);
  return TRUE;
}

static VOID SerialModemChanged(PSERIAL_PORT Port) {
  const UCHAR Status = SerialIn(Port, UART_MSR);
  Port->ModemStatus = Status & MSR_LINES;
  if (Status & MSR_CTS_CHANGED) SerialNote(Port, SERIAL_EV_CTS);
  if (Status & MSR_DSR_CHANGED) SerialNote(Port, SERIAL_EV_DSR);
  if (Status & MSR_RING_ENDED) SerialNote(Port, SERIAL_EV_RING);
  if (Status & MSR_DCD_CHANGED) SerialNote(Port, SERIAL_EV_RLSD);
  if (Port->SendLeft != 0 && SerialMaySend(Port)) SerialPokeTransmitter(Port);
}

/* PASSIVE_LEVEL, before the interrupt is connected: does the register that means nothing keep what it is given, and do FIFOs show? */
BOOLEAN SerialIsThere(PSERIAL_PORT Port) {
  SerialOut(Port, UART_IER, 0);
  SerialOut(Port, UART_SCR, 0x5a);
  if (SerialIn(Port, UART_SCR) != 0x5a) return FALSE;
  SerialOut(Port, UART_FCR, FCR_ENABLE);
  if ((SerialIn(Port, UART_IIR) & IIR_FIFOS) != IIR_FIFOS) Port->FifoControl = 0, Port->TxFifo = 1; /* an older chip */
  SerialOut(Port, UART_FCR, 0);
  return TRUE;
}

/* -- the interrupt -------------------------------------------------------------------------------------------------------------------------- */

/* A port that was pulled out reads all ones, which says that it wants nothing. */
BOOLEAN SerialIsr(PKINTERRUPT Interrupt, PVOID Context) {
  PSERIAL_PORT Port = Context;
  ULONG EventsBefore, RingBefore;
  BOOLEAN Sent = FALSE;
  UCHAR Cause;
  UNREFERENCED_PARAMETER(Interrupt);
  if (!Port->Listens) return FALSE;
  EventsBefore = Port->Events;
  RingBefore = Port->RingCount;
  Cause = SerialIn(Port, UART_IIR);
  if (Cause & IIR_NONE) return FALSE;
  do {
    switch (Cause & IIR_CAUSE) {
      case IIR_LINE_STATUS:
      case IIR_RECEIVED:
      case IIR_TIMEOUT: SerialReceive(Port); break;
      case IIR_HOLDING_EMPTY: Sent |= SerialSend(Port); break;
      default: SerialModemChanged(Port); break;
    }
    Cause = SerialIn(Port, UART_IIR);
  } while ((Cause & IIR_NONE) == 0);
  if (Sent || Port->Events != EventsBefore || Port->RingCount != RingBefore) IoRequestDpc(Port->Self, NULL, NULL);
  return TRUE;
}

/* Whatever the service routine has seen: it is looked for, so no request of the DPC means anything in particular. */
VOID SerialDpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  PSERIAL_PORT Port = SerialPort(DeviceObject);
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Irp);
  UNREFERENCED_PARAMETER(Context);
  SerialServe(&Port->Reads);
  SerialServe(&Port->Writes);
  SerialServe(&Port->Waits);
}
