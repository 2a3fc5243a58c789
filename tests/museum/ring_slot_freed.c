/* A ring without a lock, for one writer and one reader. The reader gives the slot back before it has read it; when the ring is full, the next
 * interrupt writes there, and the reader takes a later value in an earlier one's place. Idea:
 * https://github.com/zephyrproject-rtos/zephyr/pull/108474 */
#include "museum.h"

#define ROOM 2

struct _DEVICE {
  CARD Card;
  ULONG Ring[ROOM];
  volatile LONG Tail; /* the service routine's: so many were written */
  volatile LONG Head; /* the thread's: so many slots were given back */
};

static BOOLEAN Isr(PKINTERRUPT InterruptObject, PVOID Context) {
  const PDEVICE Device = Context;
  const LONG Tail = Device->Tail;
  ULONG Value;
  if (!TakePulse(Device, &Value)) return FALSE;
  if (Tail - ReadAcquire(&Device->Head) == ROOM) return TRUE; /* full: this one is lost */
  Device->Ring[Tail % ROOM] = Value;
  WriteRelease(&Device->Tail, Tail + 1);
  return TRUE;
}

static VOID Read(PDEVICE Device) {
  ULONG Round, Before = 0;
  for (Round = 0; Round < 8; ++Round) {
    KeStallExecutionProcessor(150);
    while (Device->Head != ReadAcquire(&Device->Tail)) {
      const LONG Head = Device->Head;
      ULONG Value;
#ifdef FIXED
      Value = Device->Ring[Head % ROOM];
      WriteRelease(&Device->Head, Head + 1);
#else
      WriteRelease(&Device->Head, Head + 1);
      Value = Device->Ring[Head % ROOM];
#endif
      INVARIANT(Value > Before, Value, Before);
      Before = Value;
    }
  }
}

static NTSTATUS Start(PDEVICE Device) { return ConnectAndEnable(Device, Isr, Read); }

static VOID Stop(PDEVICE Device) {
  JoinThreads(Device);
  QuietCard(Device);
  Disconnect(Device);
}

const PARTS Parts = {sizeof(DEVICE), Start, Stop};
