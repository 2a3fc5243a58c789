/* The controller itself: its registers and its interrupt. */
#include "hda.h"

static PULONG HdaUlong(PUCHAR Base, ULONG Register) { return (PULONG)(Base + Register); }
static PUSHORT HdaUshort(PUCHAR Base, ULONG Register) { return (PUSHORT)(Base + Register); }

static VOID HdaPause(VOID) {
  LARGE_INTEGER OneMillisecond;
  OneMillisecond.QuadPart = -10000;
  KeDelayExecutionThread(KernelMode, FALSE, &OneMillisecond);
}

/* PASSIVE_LEVEL. A command for a node of the codec, by hand: the rings for many commands are not worth their memory here. */
static NTSTATUS HdaCommand(PHDA_CONTROLLER Controller, ULONG Node, ULONG Verb) {
  ULONG Tries;
  WRITE_REGISTER_USHORT(HdaUshort(Controller->Registers, ICS), ICS_VALID);
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Registers, ICW), CODEC << 28 | Node << 20 | Verb);
  WRITE_REGISTER_USHORT(HdaUshort(Controller->Registers, ICS), ICS_BUSY);
  for (Tries = 0; (READ_REGISTER_USHORT(HdaUshort(Controller->Registers, ICS)) & ICS_VALID) == 0; ++Tries) {
    if (Tries == 100) return STATUS_IO_TIMEOUT;
    KeStallExecutionProcessor(10);
  }
  READ_REGISTER_ULONG(HdaUlong(Controller->Registers, IRR));
  return STATUS_SUCCESS;
}

/* PASSIVE_LEVEL. Out of reset, the codec told what it will play, and the first output stream at a stand. */
NTSTATUS HdaReset(PHDA_CONTROLLER Controller) {
  ULONG Tries, InputStreams;
  NTSTATUS Status;
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Registers, GCTL), GCTL_OUT_OF_RESET);
  for (Tries = 0; (READ_REGISTER_USHORT(HdaUshort(Controller->Registers, STATESTS)) & 1 << CODEC) == 0; ++Tries) {
    if (Tries == 25) return STATUS_NO_SUCH_DEVICE; /* a codec has 521 µs */
    HdaPause();
  }
  InputStreams = READ_REGISTER_USHORT(HdaUshort(Controller->Registers, GCAP)) >> 8 & 0xf;
  Controller->Stream = Controller->Registers + FIRST_STREAM + InputStreams * STREAM_SIZE;
  Controller->StreamBit = 1u << InputStreams;
  Status = HdaCommand(Controller, NODE_CONVERTER, VERB_SET_FORMAT(FORMAT_48K_16_STEREO));
  if (NT_SUCCESS(Status)) Status = HdaCommand(Controller, NODE_CONVERTER, VERB_SET_STREAM(STREAM));
  return Status;
}

static BOOLEAN HdaServe(PHDA_CONTROLLER Controller) {
  const ULONG Requests = READ_REGISTER_ULONG(HdaUlong(Controller->Registers, INTSTS));
  if (Requests == 0xffffffff || (Requests & Controller->StreamBit) == 0) return FALSE;
  WRITE_REGISTER_UCHAR(Controller->Stream + SD_STS, STS_COMPLETED);
  Controller->Interrupts++;
  IoRequestDpc(Controller->Self, NULL, Controller);
  return TRUE;
}

BOOLEAN HdaMessageIsr(PKINTERRUPT Interrupt, PVOID Context, ULONG MessageId) {
  UNREFERENCED_PARAMETER(Interrupt);
  UNREFERENCED_PARAMETER(MessageId); /* there is one */
  return HdaServe(Context);
}

BOOLEAN HdaLineIsr(PKINTERRUPT Interrupt, PVOID Context) {
  UNREFERENCED_PARAMETER(Interrupt);
  return HdaServe(Context);
}

/* With the lock held. The ring is silent and full of it: the controller reads up to a whole ring at once when it starts. */
VOID HdaRun(PHDA_CONTROLLER Controller) {
  PHDA_DESCRIPTOR Descriptors = (PHDA_DESCRIPTOR)(Controller->Common + Controller->RingBytes);
  const ULONG PeriodBytes = Controller->RingBytes / RING_PERIODS;
  const ULONGLONG List = Controller->CommonPhysical.QuadPart + Controller->RingBytes;
  ULONG Index;
  for (Index = 0; Index < RING_PERIODS; ++Index) {
    Descriptors[Index].Address = Controller->CommonPhysical.QuadPart + Index * PeriodBytes;
    Descriptors[Index].Length = PeriodBytes;
    Descriptors[Index].InterruptWhenDone = 1;
  }
  RtlZeroMemory(Controller->Common, Controller->RingBytes);
  Controller->Read = 0;
  Controller->Written = Controller->RingBytes;
  Controller->HeardAt = 0;
  Controller->Running = TRUE;
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_CTL), CTL_RESET);
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_CTL), 0);
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_CBL), Controller->RingBytes);
  WRITE_REGISTER_USHORT(HdaUshort(Controller->Stream, SD_LVI), RING_PERIODS - 1);
  WRITE_REGISTER_USHORT(HdaUshort(Controller->Stream, SD_FMT), FORMAT_48K_16_STEREO);
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_BDPL), (ULONG)List);
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_BDPU), (ULONG)(List >> 32));
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Registers, INTCTL), GLOBAL_INTERRUPT | Controller->StreamBit);
  Controller->Wall = READ_REGISTER_ULONG(HdaUlong(Controller->Registers, WALCLK));
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_CTL), CTL_STREAM_NUMBER(STREAM) | CTL_INTERRUPT_ON_COMPLETION | CTL_RUN);
}

/* With the lock held, or when nothing else runs any more. */
VOID HdaStop(PHDA_CONTROLLER Controller) {
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_CTL), 0);
  WRITE_REGISTER_ULONG(HdaUlong(Controller->Registers, INTCTL), 0);
  WRITE_REGISTER_UCHAR(Controller->Stream + SD_STS, STS_COMPLETED);
  Controller->Running = FALSE;
}

/* With the lock held: learns how far the controller has read. It goes round for ever, whether the ring was filled or not, so its place in the ring
 * may stand for several rounds; the wall clock says how many. */
VOID HdaProgress(PHDA_CONTROLLER Controller) {
  const ULONG Ring = Controller->RingBytes;
  const ULONG Place = READ_REGISTER_ULONG(HdaUlong(Controller->Stream, SD_LPIB));
  const ULONG Wall = READ_REGISTER_ULONG(HdaUlong(Controller->Registers, WALCLK));
  const ULONG Expected = (Wall - Controller->Wall) / WALL_TICKS_PER_BYTE;
  ULONG Bytes = (Place + Ring - (ULONG)(Controller->Read % Ring)) % Ring;
  while (Bytes + Ring / 2 < Expected) Bytes += Ring;
  Controller->Wall = Wall;
  Controller->Read += Bytes;
  if (Controller->Read <= Controller->Written) return;
  Controller->Underruns++; /* what was heard instead is the last round once more */
  Controller->Written = Controller->Read;
}
