/* Two bit-fields, the service routine's and the thread's, lie in one word. The thread's store of its bit writes the other's back as it was. Idea:
 * https://github.com/google/syzkaller/issues/6578 */
#include "museum.h"

typedef struct _FLAGS {
#ifdef FIXED
  BOOLEAN Pulse; /* the service routine's; the thread only looks, at the end */
  BOOLEAN Busy;  /* the thread's */
#else
  ULONG Pulse : 1;
  ULONG Busy : 1;
#endif
} FLAGS;

struct _DEVICE {
  CARD Card;
  FLAGS Flags;
  ULONG Seen; /* the service routine's */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  Device->Flags.Pulse = 1;
  ++Device->Seen;
  return TRUE;
}

static VOID BeBusy(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 8; ++Round) {
    Device->Flags.Busy = 1;
    KeStallExecutionProcessor(30);
    Device->Flags.Busy = 0;
    KeStallExecutionProcessor(30);
  }
}

static NTSTATUS Start(PDEVICE Device) { return ConnectAndEnable(Device, Isr, BeBusy); }

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
  INVARIANT(Device->Flags.Pulse || Device->Seen == 0, Device->Flags.Pulse, Device->Seen);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
