/* The length is read before the done bit. The card may write the record between the two: then the record is done, and the length is the one before.
 * Idea: https://www.kernel.org/doc/html/latest/core-api/wrappers/memory-barriers.html */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Taken, Wrong; /* the DPC's, which is on one processor only */
};

static BOOLEAN TakeNext(PDEVICE Device) {
  const PRECORD Record = &Device->Card.Ring[Device->Taken % RECORDS];
  ULONG Words, Word;
#ifdef FIXED
  if (Record->Done != Device->Taken + 1) return FALSE;
  Words = Record->Length / sizeof(ULONG);
#else
  Words = Record->Length / sizeof(ULONG);
  if (Record->Done != Device->Taken + 1) return FALSE;
#endif
  ++Device->Taken;
  if (Words != 1 + (Device->Taken - 1) % 6) ++Device->Wrong;
  for (Word = 0; Word < Words; ++Word)
    if (Record->Data[Word] != DATA_OF(Device->Taken) + Word) ++Device->Wrong;
  Record->Done = 0;
  return TRUE;
}

static VOID TakeRecords(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  while (TakeNext(Context)) continue;
}

static NTSTATUS Start(PDEVICE Device) {
  const NTSTATUS Status = MakeRecords(Device);
  if (!NT_SUCCESS(Status)) return Status;
  InitializeDpc(&Device->Card.Dpc, TakeRecords, Device, 0);
  return ConnectAndEnable(Device, QueueDpcForPulse, NULL);
}

static VOID Stop(PDEVICE Device) {
  StopAll(Device);
  FreeRecords(Device);
  INVARIANT(Device->Wrong == 0, Device->Wrong, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
