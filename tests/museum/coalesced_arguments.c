/* The value goes to the DPC as its argument. When a second interrupt comes before the DPC has begun, KeInsertQueueDpc says FALSE and keeps the
 * first one's argument: a value is lost. Idea: https://github.com/MicrosoftDocs/windows-driver-docs-ddi/issues/162 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KDPC Dpc;
  volatile LONG Waiting; /* the sum of values for the DPC */
  LONG Seen;             /* the service routine's: their sum */
  LONG Sum;              /* the DPC's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  Device->Seen += (LONG)Value;
#ifdef FIXED
  InterlockedAdd(&Device->Waiting, (LONG)Value);
  KeInsertQueueDpc(&Device->Dpc, NULL, NULL);
#else
  KeInsertQueueDpc(&Device->Dpc, (PVOID)(ULONG_PTR)Value, NULL);
#endif
  return TRUE;
}

static VOID Add(PKDPC Dpc, PVOID Context, PVOID Value, PVOID Argument2) {
  const PDEVICE Device = Context;
#ifdef FIXED
  Device->Sum += InterlockedExchange(&Device->Waiting, 0);
#else
  Device->Sum += (LONG)(ULONG_PTR)Value;
#endif
}

static NTSTATUS Start(PDEVICE Device) {
  InitializeDpc(&Device->Dpc, Add, Device, 0);
  return ConnectAndEnable(Device, Isr, NULL);
}

static VOID Stop(PDEVICE Device) {
  QuietCard(Device);
  Disconnect(Device);
  KeFlushQueuedDpcs();
  INVARIANT(Device->Sum == Device->Seen, Device->Sum, Device->Seen);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
