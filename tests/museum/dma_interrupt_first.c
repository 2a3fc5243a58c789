/* The interrupt is taken for the end of the record. It may come while the card still writes: whether all of a record is there, only its done bit says.
 * Idea: https://www.kernel.org/doc/html/latest/PCI/msi.html */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Taken, Wrong; /* the DPC's, which is on one processor only */
};

static VOID Take(PDEVICE Device, PRECORD Record) {
  const ULONG Words = Record->Length / sizeof(ULONG);
  ULONG Word;
  ++Device->Taken;
  if (Words != 1 + (Device->Taken - 1) % 6) ++Device->Wrong;
  for (Word = 0; Word < Words; ++Word)
    if (Record->Data[Word] != DATA_OF(Device->Taken) + Word) ++Device->Wrong;
  Record->Done = 0;
}

static VOID TakeRecords(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  for (;;) {
    const PRECORD Record = &Device->Card.Ring[Device->Taken % RECORDS];
    if (Record->Done != Device->Taken + 1) return; /* it interrupts once more when it is */
    Take(Device, Record);
  }
#else
  const ULONG Pulses = READ_REGISTER_ULONG(Device->Card.Registers + CARD_COUNT);
  while (Device->Taken != Pulses) Take(Device, &Device->Card.Ring[Device->Taken % RECORDS]);
#endif
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
