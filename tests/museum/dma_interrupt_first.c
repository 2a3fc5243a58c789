/* The interrupt is taken for the end of the record. It may come while the card still writes: whether all of a record is there, only its done bit says.
 * Idea: https://www.kernel.org/doc/html/latest/PCI/msi.html */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  ULONG Taken, Wrong; /* the DPC's */
};

static VOID TakeNext(PDEVICE Device) {
  const PRECORD Record = &Device->Card.Ring[Device->Taken % RECORDS];
  Device->Wrong += TakeRecord(Record, Record->Length / sizeof(ULONG), ++Device->Taken);
}

static VOID TakeRecords(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  /* The card interrupts once more when the next one is done. */
  while (Device->Card.Ring[Device->Taken % RECORDS].Done == Device->Taken + 1) TakeNext(Device);
#else
  const ULONG Pulses = READ_REGISTER_ULONG(Device->Card.Registers + CARD_COUNT);
  while (Device->Taken != Pulses) TakeNext(Device);
#endif
}

static NTSTATUS Start(PDEVICE Device) { return StartRecords(Device, TakeRecords); }

static VOID Stop(PDEVICE Device) {
  StopRecords(Device);
  INVARIANT(Device->Wrong == 0, Device->Wrong, 0);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
