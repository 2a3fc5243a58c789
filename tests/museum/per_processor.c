/* Each processor has a count of its own, so no lock is needed; but the thread counts at PASSIVE_LEVEL, and the DPC that has the same processor for
 * its target runs between its load and its store. Idea: https://github.com/MicrosoftDocs/windows-driver-docs-ddi/issues/490 */
#include "museum.h"

#define MOST_PROCESSORS 64

struct _DEVICE {
  CARD Card;
  ULONG Counts[MOST_PROCESSORS];
  ULONG InDpc, InThread; /* each its own */
};

static VOID Count(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  ++Device->Counts[KeGetCurrentProcessorNumber()];
  ++Device->InDpc;
}

static VOID CountToo(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 8; ++Round) {
#ifdef FIXED
    KIRQL OldIrql;
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
#endif
    ++Device->Counts[KeGetCurrentProcessorNumber()];
#ifdef FIXED
    KeLowerIrql(OldIrql);
#endif
    ++Device->InThread;
    KeStallExecutionProcessor(90);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  InitializeDpc(&Device->Card.Dpc, Count, Device, OtherProcessor());
  KeSetImportanceDpc(&Device->Card.Dpc, HighImportance); /* or it would wait until that processor has nothing else to do */
  return ConnectAndEnable(Device, QueueDpcForPulse, CountToo);
}

static VOID Stop(PDEVICE Device) {
  ULONG Index, Sum = 0;
  StopAll(Device);
  for (Index = 0; Index < MOST_PROCESSORS; ++Index) Sum += Device->Counts[Index];
  INVARIANT(Sum == Device->InDpc + Device->InThread, Sum, Device->InDpc + Device->InThread);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
