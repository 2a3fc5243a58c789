/* Blocks go from the list of the free to the list of the done and back; the thread puts them back into the free list with the lock of the other
 * list. A DPC that takes one at that moment leaves the list with a block lost, or one in it twice. Idea:
 * https://github.com/dokan-dev/dokany/issues/1188 */
#include "museum.h"

#define BLOCKS 2

struct _DEVICE {
  CARD Card;
  KSPIN_LOCK FreeLock, DoneLock;
  LIST_ENTRY Free, Done;
  LIST_ENTRY Blocks[BLOCKS];
};

static VOID Receive(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
  PLIST_ENTRY Block = NULL;
  KeAcquireSpinLockAtDpcLevel(&Device->FreeLock);
  if (!IsListEmpty(&Device->Free)) Block = RemoveHeadList(&Device->Free);
  KeReleaseSpinLockFromDpcLevel(&Device->FreeLock);
  if (Block == NULL) return;
  KeAcquireSpinLockAtDpcLevel(&Device->DoneLock);
  InsertTailList(&Device->Done, Block);
  KeReleaseSpinLockFromDpcLevel(&Device->DoneLock);
}

static VOID Reuse(PDEVICE Device) {
  ULONG Round;
  KIRQL OldIrql;
  for (Round = 0; Round < 12; ++Round) {
    PLIST_ENTRY Block = NULL;
    KeStallExecutionProcessor(83);
    KeAcquireSpinLock(&Device->DoneLock, &OldIrql);
    if (!IsListEmpty(&Device->Done)) Block = RemoveHeadList(&Device->Done);
#ifdef FIXED
    KeReleaseSpinLock(&Device->DoneLock, OldIrql);
    KeAcquireSpinLock(&Device->FreeLock, &OldIrql);
#endif
    if (Block != NULL) InsertTailList(&Device->Free, Block);
#ifdef FIXED
    KeReleaseSpinLock(&Device->FreeLock, OldIrql);
#else
    KeReleaseSpinLock(&Device->DoneLock, OldIrql);
#endif
  }
}

static NTSTATUS Start(PDEVICE Device) {
  ULONG Index;
  KeInitializeSpinLock(&Device->FreeLock);
  KeInitializeSpinLock(&Device->DoneLock);
  InitializeListHead(&Device->Free);
  InitializeListHead(&Device->Done);
  for (Index = 0; Index < BLOCKS; ++Index) InsertTailList(&Device->Free, &Device->Blocks[Index]);
  KeInitializeDpc(&Device->Card.Dpc, Receive, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Reuse);
}

static ULONG LengthOf(PLIST_ENTRY List) {
  PLIST_ENTRY Entry;
  ULONG Length = 0;
  for (Entry = List->Flink; Entry != List && Length <= BLOCKS; Entry = Entry->Flink) ++Length;
  return Length;
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  INVARIANT(LengthOf(&Device->Free) + LengthOf(&Device->Done) == BLOCKS, LengthOf(&Device->Free), LengthOf(&Device->Done));
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
