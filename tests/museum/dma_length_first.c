/* The length is read before the done bit. The card may write the record between the two: then the record is done, and the length is the one before.
 * Idea: https://www.kernel.org/doc/html/latest/core-api/wrappers/memory-barriers.html */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Taken, Wrong; /* the DPC's */
};

static BOOLEAN TakeNext(PDEVICE Device) {
  const PRECORD Record = &Device->Card.Ring[Device->Taken % RECORDS];
  ULONG Words;
#ifdef FIXED
  if (Record->Done != Device->Taken + 1) return FALSE;
  Words = Record->Length / sizeof(ULONG);
#else
  Words = Record->Length / sizeof(ULONG);
  if (Record->Done != Device->Taken + 1) return FALSE;
#endif
  Device->Wrong += TakeRecord(Record, Words, ++Device->Taken);
  return TRUE;
}

static VOID TakeRecords(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  while (TakeNext(Context)) continue;
}

static NTSTATUS Start(PDEVICE Device) { return StartRecords(Device, TakeRecords); }

static VOID Stop(PDEVICE Device) {
  StopRecords(Device);
  INVARIANT(Device->Wrong == 0, Device->Wrong, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
