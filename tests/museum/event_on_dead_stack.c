/* The request lies on the stack of the thread that waits for it, and after a while the thread waits no longer and goes away. An answer that comes
 * later sets an event in a frame that is gone. Idea: https://github.com/virtio-win/kvm-guest-drivers-windows/issues/350 */
#include "museum.h"

struct _DEVICE {
  CARD Card;
  KEVENT* volatile Waiter; /* taken and put by exchange */
};

static PKEVENT TakeWaiter(PDEVICE Device) { return InterlockedExchangePointer((PVOID volatile*)&Device->Waiter, NULL); }

static VOID Answer(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  const PKEVENT Answered = TakeWaiter(Context);
  if (Answered != NULL) KeSetEvent(Answered, IO_NO_INCREMENT, FALSE);
}

static BOOLEAN AskOnce(PDEVICE Device) {
  KEVENT Answered;
  KeInitializeEvent(&Answered, NotificationEvent, FALSE);
  InterlockedExchangePointer((PVOID volatile*)&Device->Waiter, &Answered);
  RingDoorbell(Device, 60);
  if (WaitFor(&Answered, 1)) return TRUE;
#ifdef FIXED
  if (TakeWaiter(Device) == NULL) KeWaitForSingleObject(&Answered, Executive, KernelMode, FALSE, NULL); /* the DPC has it in its hand */
#endif
  return FALSE;
}

static VOID Ask(PDEVICE Device) {
  ULONG Round;
  for (Round = 0; Round < 3; ++Round)
    if (!AskOnce(Device)) Sleep(1);
}

static NTSTATUS Start(PDEVICE Device) {
  KeInitializeDpc(&Device->Card.Dpc, Answer, Device);
  return ConnectAndEnable(Device, QueueDpcForPulse, Ask);
}

const PARTS Parts = {sizeof(DEVICE), Start, StopAll};
