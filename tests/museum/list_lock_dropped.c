/* The DPC goes through a list and lets go of its lock for each entry, to tell somebody else of it; meanwhile a thread takes the next entry out of
 * the list and frees it, and the DPC goes on from there. Idea: https://github.com/reactos/reactos/pull/3251 */
#include "museum.h"

#define BLOCKS 4

typedef struct _BLOCK {
  LIST_ENTRY Link;
  ULONG Number;
} BLOCK, *PBLOCK;

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK Lock;
  LIST_ENTRY Blocks;
  ULONG Told; /* the DPC's */
};

/* Not with the lock: whoever is told may call this driver. */
static VOID Tell(PDEVICE Device, ULONG Number) { Device->Told += Number; }

static VOID TellAll(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  PLIST_ENTRY Entry, Next;
#ifdef FIXED
  ULONG Numbers[BLOCKS], Count = 0;
#endif
  KeAcquireSpinLockAtDpcLevel(&Device->Lock);
  for (Entry = Device->Blocks.Flink; Entry != &Device->Blocks; Entry = Next) {
    const ULONG Number = CONTAINING_RECORD(Entry, BLOCK, Link)->Number;
    Next = Entry->Flink;
#ifdef FIXED
    Numbers[Count++] = Number;
#else
    KeReleaseSpinLockFromDpcLevel(&Device->Lock);
    Tell(Device, Number);
    KeAcquireSpinLockAtDpcLevel(&Device->Lock);
#endif
  }
  KeReleaseSpinLockFromDpcLevel(&Device->Lock);
#ifdef FIXED
  while (Count > 0) Tell(Device, Numbers[--Count]);
#endif
}

static VOID TakeOut(PDEVICE Device) {
  PLIST_ENTRY Entry = NULL;
  KIRQL OldIrql;
  KeAcquireSpinLock(&Device->Lock, &OldIrql);
  if (!IsListEmpty(&Device->Blocks)) Entry = RemoveHeadList(&Device->Blocks);
  KeReleaseSpinLock(&Device->Lock, OldIrql);
  if (Entry != NULL) ExFreePoolWithTag(CONTAINING_RECORD(Entry, BLOCK, Link), MUSEUM_TAG);
}

static VOID TakeOutSome(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < BLOCKS; ++Round) {
    KeStallExecutionProcessor(170);
    TakeOut(Device);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  ULONG Number;
  KeInitializeSpinLock(&Device->Lock);
  InitializeListHead(&Device->Blocks);
  for (Number = 1; Number <= BLOCKS; ++Number) {
    const PBLOCK Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Block), MUSEUM_TAG);
    if (Block == NULL) return STATUS_INSUFFICIENT_RESOURCES;
    Block->Number = Number;
    InsertTailList(&Device->Blocks, &Block->Link);
  }
  InitializeDpc(&Device->Card.Dpc, TellAll, Device, 0);
  return ConnectAndEnable(Device, QueueDpcForPulse, TakeOutSome);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  while (!IsListEmpty(&Device->Blocks)) TakeOut(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
