/* Going to sleep, the driver quiets the card and then waits for the command that is under way, if there is one. Its interrupt will never come, and the
 * system never sleeps. Idea: https://github.com/nmap/npcap/issues/390 */
#include "museum.h"

#define COMMANDS 4

struct _DEVICE {
  CARD Card;
  KEVENT Idle; /* no command is under way */
  KEVENT May;  /* a synchronization event: whoever has it may send one */
};

static VOID Dpc(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) { KeSetEvent(&((PDEVICE)Context)->Idle, IO_NO_INCREMENT, FALSE); }

static VOID Send(PDEVICE Device) {
  ULONG Index;
  for (Index = 0; Index < COMMANDS; ++Index) {
    KeWaitForSingleObject(&Device->May, Executive, KernelMode, FALSE, NULL);
    KeClearEvent(&Device->Idle);
    RingDoorbell(Device, 100);
    KeWaitForSingleObject(&Device->Idle, Executive, KernelMode, FALSE, NULL);
    KeSetEvent(&Device->May, IO_NO_INCREMENT, FALSE);
  }
}

static VOID Power(PDEVICE Device, BOOLEAN Down) {
  if (Down) {
#ifdef FIXED
    KeWaitForSingleObject(&Device->May, Executive, KernelMode, FALSE, NULL); /* so nothing is under way */
    QuietCard(Device);
#else
    QuietCard(Device);
    KeWaitForSingleObject(&Device->May, Executive, KernelMode, FALSE, NULL);
#endif
  } else {
    EnableCard(Device);
    KeSetEvent(&Device->May, IO_NO_INCREMENT, FALSE);
  }
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeEvent(&Device->Idle, NotificationEvent, TRUE);
  KeInitializeEvent(&Device->May, SynchronizationEvent, TRUE);
  InitializeDpc(&Device->Card.Dpc, Dpc, Device, 0);
  return ConnectAndEnable(Device, QueueDpcForPulse, Send);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll, NULL, Power};
