/* The service routine says Ready before the sample is there. A thread on another processor that looks between the two stores takes the old sample.
 * Idea: https://github.com/cyberus-technology/usbvfiod/pull/50 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  volatile LONG Ready; /* Sample is new, and the thread's; else it is the service routine's */
  ULONG Sample;
  ULONG Taken;
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  if (ReadAcquire(&Device->Ready)) return TRUE; /* nobody has taken the last one: this one is lost */
#ifdef FIXED
  Device->Sample = Value;
  WriteRelease(&Device->Ready, TRUE);
#else
  WriteRelease(&Device->Ready, TRUE);
  Device->Sample = Value;
#endif
  return TRUE;
}

static VOID Take(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 40; ++Round) {
    KeStallExecutionProcessor(23);
    if (!ReadAcquire(&Device->Ready)) continue;
    INVARIANT(Device->Sample != 0, Round, Device->Taken);
    Device->Sample = 0;
    ++Device->Taken;
    WriteRelease(&Device->Ready, FALSE);
  }
}

static NTSTATUS Start(PDEVICE Device) { return ConnectAndEnable(Device, Isr, Take); }

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
