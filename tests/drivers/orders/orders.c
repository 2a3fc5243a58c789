/* Small scenarios, in which every order can be tried. */
#include "orders.h"

#include <ntstrsafe.h>

static ORDERS_RESULT Result;
static KSPIN_LOCK Lock;
static KEVENT Event;
static KDPC DpcHere, DpcThere, DpcLater, TimerDpc;
static KTIMER Timer;
static PKINTERRUPT Interrupt, Anywhere;
static PIRP Irp;
static LIST_ENTRY List, Entry;
static KEVENT Other, Work, Never;
static PKTHREAD Worker;
static BOOLEAN Stops;

/* Two that have nothing to do with each other. */
static VOID NTAPI WriteX(VOID) {
  Result.X = 1;
  Result.X = 2;
}
static VOID NTAPI WriteFlag(VOID) {
  Result.Flag = 1;
  Result.Flag = 2;
}

/* A lost update, and who sees what of the other. */
static VOID NTAPI AddOne(VOID) { Result.X = Result.X + 1; }
static VOID NTAPI AddTwo(VOID) { Result.X = Result.X + 2; }
static VOID NTAPI WriteXReadFlag(VOID) {
  Result.X = 1;
  Result.Seen[0] = Result.Flag;
}
static VOID NTAPI WriteFlagReadX(VOID) {
  Result.Flag = 1;
  Result.Seen[2] = Result.X;
}
static VOID NTAPI AddThree(VOID) { Result.X = Result.X + 4; }

/* Two under a lock, and something beside it. */
static VOID NTAPI LockedDouble(VOID) {
  KIRQL Old;
  KeAcquireSpinLock(&Lock, &Old);
  Result.X = Result.X * 2 + 1;
  KeReleaseSpinLock(&Lock, Old);
}
static VOID NTAPI LockedTriple(VOID) {
  KIRQL Old;
  KeAcquireSpinLock(&Lock, &Old);
  Result.X = Result.X * 3 + 1;
  KeReleaseSpinLock(&Lock, Old);
}

/* A device writes both at once, and not between two looks. */
static VOID NTAPI LookAtBoth(VOID) {
  Result.Seen[0] = Result.Flag;
  Result.Seen[1] = Result.X;
}

/* A DPC that interrupts the thread of the other processor. */
static VOID NTAPI DpcAdds(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { Result.X = Result.X + 10; }
static VOID NTAPI QueueThere(VOID) { KeInsertQueueDpc(&DpcThere, NULL, NULL); }
static VOID NTAPI QueueLater(VOID) { KeInsertQueueDpc(&DpcLater, NULL, NULL); }
static VOID NTAPI AddAndLook(VOID) {
  Result.X = Result.X + 1;
  Result.Seen[1] = Result.X;
}

/* … and comes, though the other goes on, when it likes. */
static VOID NTAPI QueueThereAndTell(VOID) {
  KeInsertQueueDpc(&DpcThere, NULL, NULL);
  KeStallExecutionProcessor(10);
  Result.Flag = 1;
}
static VOID NTAPI LookWhetherItHasRun(VOID) {
  Result.Seen[0] = Result.Flag;
  Result.Seen[1] = Result.X;
}

/* DPCs of two processors. */
static VOID NTAPI DpcWrites(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  Result.Y = Result.X;
  Result.X = 5;
}
static VOID NTAPI QueueBoth(VOID) {
  KeInsertQueueDpc(&DpcThere, NULL, NULL);
  KeInsertQueueDpc(&DpcHere, NULL, NULL);
}

/* A DPC that is taken back, or has run. */
static VOID NTAPI QueueAndRemove(VOID) {
  KeInsertQueueDpc(&DpcThere, NULL, NULL);
  Result.Seen[0] = KeRemoveQueueDpc(&DpcThere);
}

/* A timer that is cancelled, or has expired. */
static VOID NTAPI DpcOfTimer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) { Result.X = Result.X * 2 + 1; }
static VOID NTAPI SetAndCancel(VOID) {
  LARGE_INTEGER Due;
  Due.QuadPart = -10000;
  KeSetTimer(&Timer, Due, &TimerDpc);
  Result.X = 3;
  Result.Seen[0] = KeCancelTimer(&Timer);
}

/* What is printed into memory, and looked at. */
static VOID NTAPI PrintIt(VOID) { RtlStringCbPrintfA((char*)&Result.Y, sizeof(Result.Y), "%d", 77); }
static VOID NTAPI LookAtPrinted(VOID) { Result.Seen[1] = Result.Y; }

/* A wake-up that is lost. */
static VOID NTAPI WaitIfNotSet(VOID) {
  LARGE_INTEGER None;
  None.QuadPart = 0;
  if (Result.Flag == 0) {
    KeClearEvent(&Event);
    KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL);
  }
  Result.Seen[0] = 1;
}
static VOID NTAPI SetFlagAndEvent(VOID) {
  Result.Flag = 1;
  KeSetEvent(&Event, 0, FALSE);
}

/* An ISR above a thread, at any of its steps, and beside one. */
static BOOLEAN NTAPI Isr(PKINTERRUPT Object, PVOID Context) {
  Result.X = Result.X + 10;
  return TRUE;
}
static BOOLEAN NTAPI IsrAnywhere(PKINTERRUPT Object, PVOID Context) {
  Result.Seen[3] = (LONG)KeGetCurrentProcessorNumber() + 1;
  Result.X = Result.X + 10;
  return TRUE;
}
static VOID NTAPI AddTwice(VOID) {
  Result.X = Result.X + 1;
  Result.Flag = 1;
  Result.X = Result.X + 2;
}
static VOID NTAPI AddRaised(VOID) {
  KIRQL Old;
  KeRaiseIrql(DISPATCH_LEVEL, &Old);
  Result.X = Result.X + 1;
  KeLowerIrql(Old);
  Old = KeAcquireInterruptSpinLock(Interrupt);
  Result.X = Result.X * 2;
  KeReleaseInterruptSpinLock(Interrupt, Old);
}

/* An IRP that is cancelled while it is made cancelable. */
static VOID NTAPI Cancelled(PDEVICE_OBJECT DeviceObject, PIRP ThisIrp) {
  IoReleaseCancelSpinLock(ThisIrp->CancelIrql);
  Result.Seen[2] = 1;
}
static VOID NTAPI MakeCancelable(VOID) {
  IoSetCancelRoutine(Irp, Cancelled);
  Result.Seen[3] = Irp->Cancel;
  if (Result.Seen[3] && IoSetCancelRoutine(Irp, NULL) != NULL) Result.Seen[0] = 1;
}
static VOID NTAPI CancelIt(VOID) { Result.Seen[1] = IoCancelIrp(Irp); }

/* What the kernel writes for one, and the other looks at by itself. */
static VOID NTAPI InsertEntry(VOID) { ExInterlockedInsertTailList(&List, &Entry, &Lock); }
static VOID NTAPI LookAtList(VOID) { Result.Seen[0] = IsListEmpty(&List) ? 1 : 2; }
static VOID NTAPI AddInterlocked(VOID) { ExInterlockedAddUlong((PULONG)&Result.X, 1, &Lock); }

/* A wait that ends with the second object: if it has begun, or because the first is not signalled. */
static VOID NTAPI WaitForAny(VOID) {
  PVOID Objects[] = {&Event, &Other};
  Result.Seen[0] = KeWaitForMultipleObjects(2, Objects, WaitAny, Executive, KernelMode, FALSE, NULL, NULL) + 1;
}
static VOID NTAPI PulseOther(VOID) { KePulseEvent(&Other, 0, FALSE); }
static VOID NTAPI SetOtherAndWait(VOID) {
  KeSetEvent(&Other, 0, FALSE);
  WaitForAny();
}
static VOID NTAPI SetEvent(VOID) { KeSetEvent(&Event, 0, FALSE); }

/* A thread that may run on any processor, and says on which it does. */
static VOID NTAPI DoWork(PVOID Context) {
  KeSetIdealProcessorThread(KeGetCurrentThread(), 1);
  for (;;) {
    KeWaitForSingleObject(&Work, Executive, KernelMode, FALSE, NULL);
    if (Stops) PsTerminateSystemThread(STATUS_SUCCESS);
    Result.Seen[0] = (LONG)KeGetCurrentProcessorNumber() + 1;
  }
}
static VOID NTAPI StartWorker(VOID) {
  HANDLE Handle;
  if (!NT_SUCCESS(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, DoWork, NULL))) return;
  ObReferenceObjectByHandle(Handle, SYNCHRONIZE, *PsThreadType, KernelMode, (PVOID*)&Worker, NULL);
  ZwClose(Handle);
}
static VOID NTAPI LetWork(VOID) {
  KeSetEvent(&Work, 0, FALSE);
  KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}
static VOID NTAPI WaitForEvent(VOID) { KeWaitForSingleObject(&Event, Executive, KernelMode, FALSE, NULL); }
static VOID NTAPI WaitForOther(VOID) { KeWaitForSingleObject(&Other, Executive, KernelMode, FALSE, NULL); }

static const ORDERS_SCENARIO Scenarios[ORDERS_SCENARIOS] = {
    {"independent", WriteX, WriteFlag, NULL, 0, FALSE, 1},
    {"lost_update", AddOne, AddTwo, NULL, 0, FALSE, 3},
    {"store_buffer", WriteXReadFlag, WriteFlagReadX, NULL, 0, FALSE, 3},
    {"lock", LockedDouble, LockedTriple, NULL, 0, FALSE, 2},
    {"dpc_above_thread", QueueThere, AddAndLook, NULL, 0, FALSE, 3},
    {"dpc_comes_late", QueueThereAndTell, LookWhetherItHasRun, NULL, 0, FALSE, 4},
    {"dpc_at_the_tick", QueueLater, AddAndLook, NULL, 0, TRUE, 3},
    {"dpc_two_processors", QueueBoth, NULL, NULL, 0, FALSE, 4},
    {"dpc_removed", QueueAndRemove, NULL, NULL, 0, FALSE, 2},
    {"timer_cancelled", SetAndCancel, NULL, NULL, 0, TRUE, 3},
    {"lost_wakeup", WaitIfNotSet, SetFlagAndEvent, NULL, 0, FALSE, 2},
    {"isr_above_thread", AddTwice, NULL, NULL, 1, FALSE, 2},
    {"isr_beside_thread", NULL, AddOne, NULL, 1, FALSE, 3},
    {"isr_between_two", AddOne, AddTwo, NULL, 1, FALSE, 6},
    {"isr_held_off", AddRaised, NULL, NULL, 1, FALSE, 3},
    {"isr_anywhere", AddOne, NULL, NULL, 2, FALSE, 5},
    {"three", AddOne, AddTwo, AddThree, 0, FALSE, 7},
    {"irp_cancelled", MakeCancelable, CancelIt, NULL, 0, FALSE, 3},
    {"interlocked_list", InsertEntry, LookAtList, NULL, 0, FALSE, 2},
    {"interlocked_counter", AddInterlocked, AddTwo, NULL, 0, FALSE, 2},
    {"wait_for_any", PulseOther, WaitForAny, NULL, 0, FALSE, 2},
    {"passed_over", SetOtherAndWait, SetEvent, NULL, 0, FALSE, 2},
    {"who_is_idle", LetWork, WaitForOther, NULL, 0, FALSE, 2, StartWorker},
    {"who_becomes_idle", LetWork, WaitForOther, WaitForEvent, 0, FALSE, 3, StartWorker},
    {"printed", PrintIt, LookAtPrinted, NULL, 0, FALSE, 2},
    {"dma_beside_thread", LookAtBoth, NULL, NULL, ORDERS_DMA, FALSE, 3},
    {"two_cards", LookAtBoth, NULL, NULL, ORDERS_TWO_CARDS, FALSE, 6},
};

static VOID NTAPI LookAtX(VOID) { Result.Seen[1] = Result.X; }
static VOID NTAPI CopyX(VOID) { Result.Y = Result.X; }
static VOID NTAPI LockedAdd(VOID) {
  KIRQL Old;
  KeAcquireSpinLock(&Lock, &Old);
  Result.X = Result.X + 3;
  KeReleaseSpinLock(&Lock, Old);
}
static VOID NTAPI RaisedCopy(VOID) {
  KIRQL Old;
  KeRaiseIrql(DISPATCH_LEVEL, &Old);
  Result.Y = Result.Flag;
  KeLowerIrql(Old);
}

static ORDERS_ROUTINE* const Operations[ORDERS_OPERATIONS] = {AddOne,         WriteFlagReadX, LookAtX,    CopyX,         LockedAdd,
                                                              WriteXReadFlag, QueueThere,     RaisedCopy, QueueAndRemove};

static ORDERS_TABLE Table = {&Result, Scenarios, Operations, 0x51, 0x61};

static NTSTATUS Connect(PKINTERRUPT* Object, PKSERVICE_ROUTINE Routine, UCHAR Vector, KAFFINITY Processors) {
  return IoConnectInterrupt(Object, Routine, NULL, NULL, Vector, (KIRQL)(Vector >> 4), (KIRQL)(Vector >> 4), Latched, FALSE, Processors, FALSE);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
  if (Worker != NULL) {
    Stops = TRUE;
    KeSetEvent(&Work, 0, FALSE);
    KeWaitForSingleObject(Worker, Executive, KernelMode, FALSE, NULL);
    ObDereferenceObject(Worker);
  }
  IoFreeIrp(Irp);
  IoDisconnectInterrupt(Interrupt);
  IoDisconnectInterrupt(Anywhere);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  DriverObject->DriverUnload = Unload;
  KeInitializeSpinLock(&Lock);
  KeInitializeEvent(&Event, SynchronizationEvent, FALSE);
  KeInitializeDpc(&DpcHere, DpcWrites, NULL);
  KeSetTargetProcessorDpc(&DpcHere, 0);
  KeInitializeDpc(&DpcThere, DpcAdds, NULL);
  KeSetTargetProcessorDpc(&DpcThere, 1);
  KeSetImportanceDpc(&DpcThere, HighImportance); /* at once */
  KeInitializeDpc(&DpcLater, DpcAdds, NULL);
  KeSetTargetProcessorDpc(&DpcLater, 1);
  KeInitializeDpc(&TimerDpc, DpcOfTimer, NULL);
  KeInitializeTimer(&Timer);
  InitializeListHead(&List);
  KeInitializeEvent(&Other, SynchronizationEvent, FALSE);
  KeInitializeEvent(&Work, SynchronizationEvent, FALSE);
  KeInitializeEvent(&Never, NotificationEvent, FALSE);
  Irp = IoAllocateIrp(1, FALSE);
  if (Irp == NULL) return STATUS_UNSUCCESSFUL;
  IoSetNextIrpStackLocation(Irp);
  TestOrdersTable(&Table);
  if (!NT_SUCCESS(Connect(&Interrupt, Isr, Table.Vector, 1))) return STATUS_UNSUCCESSFUL;
  return Connect(&Anywhere, IsrAnywhere, Table.VectorAnywhere, 3);
}
