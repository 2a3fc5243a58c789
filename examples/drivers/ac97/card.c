/* The card itself: its registers, its interrupt, and the DPC that keeps it fed. */
#include "ac97.h"

static PUCHAR Ac97Uchar(PAC97_CARD Card, ULONG Register) { return Card->BusMaster + Register; }
static PUSHORT Ac97Ushort(PAC97_CARD Card, ULONG Register) { return (PUSHORT)(Card->BusMaster + Register); }
static PULONG Ac97Ulong(PAC97_CARD Card, ULONG Register) { return (PULONG)(Card->BusMaster + Register); }
static VOID Ac97WriteMixer(PAC97_CARD Card, ULONG Register, USHORT Value) { WRITE_PORT_USHORT((PUSHORT)(Card->Mixer + Register), Value); }

/* PASSIVE_LEVEL. Cold reset, full volume, and a PCM-out channel that stands still. */
NTSTATUS Ac97Reset(PAC97_CARD Card) {
  ULONG Tries;
  WRITE_PORT_ULONG(Ac97Ulong(Card, GLOB_CNT), GLOB_CNT_OUT_OF_RESET);
  for (Tries = 0; (READ_PORT_ULONG(Ac97Ulong(Card, GLOB_STA)) & GLOB_STA_CODEC_READY) == 0; ++Tries) {
    LARGE_INTEGER OneMillisecond;
    if (Tries == 600) return STATUS_IO_TIMEOUT; /* the codec may take 600 ms */
    OneMillisecond.QuadPart = -10000;
    KeDelayExecutionThread(KernelMode, FALSE, &OneMillisecond);
  }
  Ac97WriteMixer(Card, NAM_RESET, 0);
  Ac97WriteMixer(Card, NAM_MASTER_VOLUME, 0);
  Ac97WriteMixer(Card, NAM_PCM_VOLUME, 0);
  return STATUS_SUCCESS;
}

/* A shared line: the first question is whether this card asks at all. A card that was unplugged reads all ones and asks for nothing. */
BOOLEAN Ac97Isr(PKINTERRUPT Interrupt, PVOID Context) {
  PAC97_CARD Card = Context;
  const ULONG Global = READ_PORT_ULONG(Ac97Ulong(Card, GLOB_STA));
  USHORT Requests;
  UNREFERENCED_PARAMETER(Interrupt);
  if (Global == NOBODY_HOME || (Global & GLOB_STA_PCM_OUT_REQUEST) == 0) return FALSE;
  Requests = READ_PORT_USHORT(Ac97Ushort(Card, PO_SR)) & SR_REQUESTS;
  WRITE_PORT_USHORT(Ac97Ushort(Card, PO_SR), Requests);
  Card->Interrupts++;
  IoRequestDpc(Card->Self, NULL, Card);
  return TRUE;
}

/* With the lock held: learns from the card how far it is. Interrupts are not counted: several may have become one DPC. */
static VOID Ac97Progress(PAC97_CARD Card) {
  ULONG Now;
  if (!Card->Running) return;
  Now = READ_PORT_ULONG(Ac97Ulong(Card, PO_CIV));
  if (Now == NOBODY_HOME) return;
  if ((Now >> 16 & SR_HALTED) == 0) {
    Card->Done += (Now - Card->Done) % RING_SIZE;
    Card->Halted = FALSE;
  } else if (!Card->Halted) {
    Card->Done = Card->Pushed;
    Card->Halted = TRUE;
    Card->Starved = !Card->Flushing;
  }
}

VOID Ac97DpcForIsr(PKDPC Dpc, PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context) {
  PAC97_CARD Card = Context;
  LIST_ENTRY Finished;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(DeviceObject);
  UNREFERENCED_PARAMETER(Irp);
  InitializeListHead(&Finished);
  KeAcquireSpinLockAtDpcLevel(&Card->Lock);
  if (Card->State == Ac97Started) {
    Ac97Progress(Card);
    Ac97Serve(Card, &Finished);
  }
  KeReleaseSpinLockFromDpcLevel(&Card->Lock);
  Ac97CompleteFinished(Card, &Finished);
}

static VOID Ac97Run(PAC97_CARD Card) {
  ULONG Tries;
  WRITE_PORT_UCHAR(Ac97Uchar(Card, PO_CR), CR_RESET);
  for (Tries = 0; READ_PORT_UCHAR(Ac97Uchar(Card, PO_CR)) != 0 && Tries < 100; ++Tries) KeStallExecutionProcessor(1);
  WRITE_PORT_ULONG(Ac97Ulong(Card, PO_BDBAR), Card->CommonPhysical.LowPart);
  WRITE_PORT_UCHAR(Ac97Uchar(Card, PO_LVI), (UCHAR)((Card->Pushed - 1) % RING_SIZE));
  WRITE_PORT_UCHAR(Ac97Uchar(Card, PO_CR), CR_RUN | CR_INTERRUPT_ON_COMPLETION);
  Card->Running = TRUE;
  Card->Halted = FALSE;
}

/* With the lock held: tells the card of the periods that are full. It is started when it can have all it may have, or when no more will come.
 * Writing LVI wakes a card that has halted, so it must not be written without a new period: the card would play the whole old ring. */
VOID Ac97Push(PAC97_CARD Card) {
  if (Card->Filled == Card->Pushed) return;
  if (!Card->Running) {
    if (Card->Filled < Card->Ahead && !Card->Flushing) return;
    Card->Pushed = Card->Filled;
    Ac97Run(Card);
    return;
  }
  Ac97Progress(Card);
  if (Card->Halted && Card->Starved) Card->Underruns++;
  Card->Halted = FALSE;
  Card->Pushed = Card->Filled;
  WRITE_PORT_UCHAR(Ac97Uchar(Card, PO_LVI), (UCHAR)((Card->Pushed - 1) % RING_SIZE));
}

/* At the interrupt's level: the card reads nothing more and asks for nothing more. */
BOOLEAN Ac97Quiet(PVOID Context) {
  PAC97_CARD Card = Context;
  WRITE_PORT_UCHAR(Ac97Uchar(Card, PO_CR), 0);
  WRITE_PORT_USHORT(Ac97Ushort(Card, PO_SR), SR_REQUESTS);
  return TRUE;
}

/* The silence after the last period is over. */
VOID Ac97SilenceDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  PAC97_CARD Card = Context;
  LIST_ENTRY Finished;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  InitializeListHead(&Finished);
  KeAcquireSpinLockAtDpcLevel(&Card->Lock);
  if (Card->State == Ac97Started && Card->Flushing && Card->Halted && Card->Filled == Card->Done) {
    KeSynchronizeExecution(Card->Interrupt, Ac97Quiet, Card);
    Card->PeriodsBefore += Card->Done;
    Card->Filled = Card->Pushed = Card->Done = 0;
    Card->Running = FALSE;
    Ac97Serve(Card, &Finished);
  }
  KeReleaseSpinLockFromDpcLevel(&Card->Lock);
  Ac97CompleteFinished(Card, &Finished);
}

VOID Ac97SetVolume(PAC97_CARD Card, const AC97_VOLUME *Volume) {
  const USHORT Mute = Volume->Mute ? NAM_MUTE : 0;
  KIRQL OldIrql;
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  if (Card->State == Ac97Started) /* or else its ports may be another card's by now */
    Ac97WriteMixer(Card, NAM_MASTER_VOLUME, Mute | (USHORT)(min(Volume->Left, 31) << 8) | min(Volume->Right, 31));
  KeReleaseSpinLock(&Card->Lock, OldIrql);
}

VOID Ac97GetPosition(PAC97_CARD Card, PAC97_POSITION Position) {
  const ULONG PeriodFrames = Card->PeriodBytes / AC97_FRAME_BYTES;
  KIRQL OldIrql;
  RtlZeroMemory(Position, sizeof(*Position));
  KeAcquireSpinLock(&Card->Lock, &OldIrql);
  if (Card->State == Ac97Started && Card->Running) {
    /* Two registers of different moments would give a position that is a whole period off. The second look says if they are; a period is long
     * enough for the second try to succeed. */
    ULONG Tries, Before, Left;
    for (Tries = 0; Tries < 2; ++Tries) {
      Ac97Progress(Card);
      Before = Card->Done;
      Left = READ_PORT_USHORT(Ac97Ushort(Card, PO_PICB)) / 2;
      Ac97Progress(Card);
      if (Card->Done == Before) break;
    }
    if (!Card->Halted && Left <= PeriodFrames) Position->FramesPlayed = PeriodFrames - Left;
  }
  Position->FramesPlayed += (Card->PeriodsBefore + Card->Done) * PeriodFrames;
  Position->FramesTaken = Card->BytesTaken / AC97_FRAME_BYTES;
  Position->Interrupts = Card->Interrupts;
  Position->Underruns = Card->Underruns;
  KeReleaseSpinLock(&Card->Lock, OldIrql);
}
