/* One KDPC and one context are sent to one processor after the other. The DPC says that it is done before it is: the thread has filled in the
 * context for the next processor when this one reads it. Idea: https://github.com/intelpt/WindowsIntelPT/issues/8 */
#include "museum.h"

#define ROUNDS 6
#define MOST_PROCESSORS 64

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  KEVENT Done;
  ULONG Processor; /* the context: which is asked */
  ULONG Ran[MOST_PROCESSORS];
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  ULONG Value;
  return TakePulse(Context, &Value);
}

static VOID RunThere(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  ++Device->Ran[Device->Processor];
  KeSetEvent(&Device->Done, IO_NO_INCREMENT, FALSE);
#else
  KeSetEvent(&Device->Done, IO_NO_INCREMENT, FALSE);
  ++Device->Ran[Device->Processor];
#endif
}

static VOID RunEverywhere(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < ROUNDS; ++Round) {
    Device->Processor = Round % 2 == 0 ? 0 : OtherProcessor();
    KeInitializeDpc(&Device->Dpc, RunThere, Device);
    KeSetTargetProcessorDpc(&Device->Dpc, (CCHAR)Device->Processor);
    KeSetImportanceDpc(&Device->Dpc, HighImportance);
    KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
    KeWaitForSingleObject(&Device->Done, Executive, KernelMode, FALSE, NULL);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeEvent(&Device->Done, SynchronizationEvent, FALSE);
  const NTSTATUS Status = ConnectAndEnable(Device, Isr, NULL);
  return NT_SUCCESS(Status) ? StartThread(Device, RunEverywhere, 0) : Status;
}

static VOID Stop(PDEVICE Device) {
  const ULONG Here = OtherProcessor() == 0 ? ROUNDS : ROUNDS / 2;
  StopAll(Device);
  INVARIANT(Device->Ran[0] == Here, Device->Ran[0], Here);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
