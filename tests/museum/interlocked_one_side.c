/* The service routine counts with InterlockedIncrement, the thread with a plain minus: a store of the thread's takes away what was counted since
 * it has looked. Idea: https://github.com/dokan-dev/dokany/issues/58 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  volatile LONG Outstanding;
  ULONG Seen;  /* the service routine's */
  ULONG Taken; /* the thread's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  ++Device->Seen;
  InterlockedIncrement(&Device->Outstanding);
  return TRUE;
}

static VOID Take(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 12; ++Round) {
    KeStallExecutionProcessor(93);
    if (ReadAcquire(&Device->Outstanding) == 0) continue;
#ifdef FIXED
    InterlockedDecrement(&Device->Outstanding);
#else
    Device->Outstanding -= 1;
#endif
    ++Device->Taken;
  }
}

static NTSTATUS Start(PDEVICE Device) { return ConnectAndEnable(Device, Isr, Take); }

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Taken + Device->Outstanding == Device->Seen, Device->Outstanding, Device->Seen - Device->Taken);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
