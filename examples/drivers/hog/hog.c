/* A bad neighbour: from time to time its timer's DPC keeps one processor for itself. Nothing else is wrong with it.
 *
 * Parameters (REG_DWORD), all optional:
 *   FirstMs    when it runs first, after loading (100)
 *   PeriodMs   and then every so often; 0: once (0)
 *   Count      how often altogether; 0: without end (0)
 *   RunUs      how long each time (0)
 *   Processor  where; 0xffffffff: where the timer was set (0)
 *   Level      at which IRQL: DISPATCH_LEVEL keeps threads and DPCs away, a higher one interrupts too (2)
 *   Mode       0  it stalls, in slices of 50 us, as one waits for hardware
 *              1  it counts, and calls nobody: only the clock can tell how long that takes
 *              2  as 0, but after each PieceUs (100) it queues itself again and lets other DPCs go first: long in total, in no DPC's way. Threads
 *                 of that processor wait for all of it; in nobody's way at all is a run on another processor. */
#include <wdm.h>

#include "../parameters.h"

enum { HogStall, HogCount, HogPieces };

static KTIMER HogTimer;
static KDPC HogTimerDpc; /* a run begins */
static KDPC HogPieceDpc; /* … and goes on, in mode 2 */
static ULONG HogCountLeft, HogCountIsLimited, HogRunUs, HogMode, HogPieceUs;
static KIRQL HogLevel;
static ULONG HogLeftUs;         /* of this run, in mode 2 */
static ULONG HogTurnsPerMs;     /* of Turn(), measured when the driver is loaded */
static volatile ULONG HogTurns; /* memory, or the compiler would do the sum without counting */
static volatile LONG HogLeaving;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD HogUnload;
static KDEFERRED_ROUTINE HogRun;
static KDEFERRED_ROUTINE HogRunPiece;

static DECLSPEC_NOINLINE VOID Turn(ULONG Turns) {
  for (HogTurns = 0; HogTurns < Turns;) HogTurns++;
}

static VOID Stall(ULONG Microseconds) {
  while (Microseconds != 0) {
    const ULONG Slice = min(Microseconds, 50); /* the documented limit of one call */
    KeStallExecutionProcessor(Slice);
    Microseconds -= Slice;
  }
}

/* At DISPATCH_LEVEL, so that no other thread is in the figure. */
static ULONG MeasureTurnsPerMs(VOID) {
  LARGE_INTEGER Frequency, Before, After;
  const ULONG Turns = 100000;
  LONGLONG Ticks;
  KIRQL OldIrql;
  KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
  Before = KeQueryPerformanceCounter(&Frequency);
  Turn(Turns);
  After = KeQueryPerformanceCounter(NULL);
  KeLowerIrql(OldIrql);
  Ticks = max(After.QuadPart - Before.QuadPart, 1);
  return (ULONG)max(Frequency.QuadPart * Turns / Ticks / 1000, 1);
}

static VOID HogRun(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  KIRQL OldIrql;
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  if (HogCountIsLimited) {
    if (HogCountLeft == 0) return;
    if (--HogCountLeft == 0) KeCancelTimer(&HogTimer);
  }
  KeRaiseIrql(HogLevel, &OldIrql);
  switch (HogMode) {
    case HogCount: Turn((ULONG)((ULONGLONG)HogTurnsPerMs * HogRunUs / 1000)); break;
    case HogPieces:
      HogLeftUs += HogRunUs;
      KeInsertQueueDpc(&HogPieceDpc, NULL, NULL);
      break;
    default: Stall(HogRunUs);
  }
  KeLowerIrql(OldIrql);
}

static VOID HogRunPiece(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const ULONG Piece = min(HogLeftUs, HogPieceUs);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  Stall(Piece);
  HogLeftUs -= Piece;
  if (HogLeftUs != 0 && !HogLeaving) KeInsertQueueDpc(Dpc, NULL, NULL); /* behind all that wait now */
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  const ULONG FirstMs = ReadParameter(RegistryPath, L"FirstMs", 100);
  const ULONG PeriodMs = ReadParameter(RegistryPath, L"PeriodMs", 0);
  const ULONG Processor = ReadParameter(RegistryPath, L"Processor", 0);
  LARGE_INTEGER DueTime;
  HogCountLeft = ReadParameter(RegistryPath, L"Count", 0);
  HogCountIsLimited = HogCountLeft != 0;
  HogRunUs = ReadParameter(RegistryPath, L"RunUs", 0);
  HogMode = ReadParameter(RegistryPath, L"Mode", HogStall);
  HogPieceUs = ReadParameter(RegistryPath, L"PieceUs", 100);
  HogLevel = (KIRQL)ReadParameter(RegistryPath, L"Level", DISPATCH_LEVEL);
  if (HogMode > HogPieces || HogPieceUs == 0) {
    DbgPrint("hog: Mode %u is none of 0, 1 and 2, or PieceUs %u is not above 0\n", HogMode, HogPieceUs);
    return STATUS_INVALID_PARAMETER;
  }
  if (HogLevel < DISPATCH_LEVEL || HogLevel > HIGH_LEVEL || (HogLevel != DISPATCH_LEVEL && HogMode == HogPieces)) {
    DbgPrint("hog: Level %u is not from 2 to 15, or not 2 in mode 2, whose pieces are queued\n", HogLevel);
    return STATUS_INVALID_PARAMETER;
  }
  if (HogMode == HogCount) HogTurnsPerMs = MeasureTurnsPerMs();

  DriverObject->DriverUnload = HogUnload;
  KeInitializeTimerEx(&HogTimer, NotificationTimer);
  KeInitializeDpc(&HogTimerDpc, HogRun, NULL);
  KeInitializeDpc(&HogPieceDpc, HogRunPiece, NULL);
  if (Processor != MAXULONG) {
    PROCESSOR_NUMBER Number;
    NTSTATUS Status = KeGetProcessorNumberFromIndex(Processor, &Number);
    if (NT_SUCCESS(Status)) Status = KeSetTargetProcessorDpcEx(&HogTimerDpc, &Number);
    if (NT_SUCCESS(Status)) Status = KeSetTargetProcessorDpcEx(&HogPieceDpc, &Number);
    if (!NT_SUCCESS(Status)) {
      DbgPrint("hog: there is no processor %u\n", Processor);
      return Status;
    }
  }
  DueTime.QuadPart = -(LONGLONG)FirstMs * 10000;
  KeSetTimerEx(&HogTimer, DueTime, (LONG)PeriodMs, &HogTimerDpc);
  return STATUS_SUCCESS;
}

/* Nothing may be left that would run code that is gone. A run that has begun may queue a piece, and a piece the next one: neither begins another
 * once HogLeaving is set, so the second flush finds the last of them. */
static VOID HogUnload(PDRIVER_OBJECT DriverObject) {
  UNREFERENCED_PARAMETER(DriverObject);
  InterlockedExchange(&HogLeaving, TRUE);
  KeCancelTimer(&HogTimer);
  KeFlushQueuedDpcs();
  KeFlushQueuedDpcs();
}
