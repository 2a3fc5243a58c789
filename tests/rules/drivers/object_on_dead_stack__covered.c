/* An event among the local variables of a function that has given up waiting. When it is set, a call that was made since has its own there. */
#include "twin.h"

static KTIMER Timer;
static KDPC Dpc;
static PKEVENT Waiter;

static VOID NTAPI Answer(PKDPC Self, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(Self);
  UNREFERENCED_PARAMETER(Context);
  UNUSED_PARAMETERS(Argument1, Argument2);
  KeSetEvent(Waiter, IO_NO_INCREMENT, FALSE); /* culprit */
}

static __attribute__((noinline)) VOID Ask(VOID) {
  KEVENT Answered;
  LARGE_INTEGER Patience;
  Patience.QuadPart = BAD_OR_GOOD(-10000LL, -1000000LL);
  KeInitializeEvent(&Answered, NotificationEvent, FALSE);
  Waiter = &Answered;
  KeWaitForSingleObject(&Answered, Executive, KernelMode, FALSE, &Patience);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  UNREFERENCED_PARAMETER(RegistryPath);
  DriverObject->DriverUnload = NothingToUnload;
  Due.QuadPart = -500000LL;
  KeInitializeDpc(&Dpc, Answer, NULL);
  KeInitializeTimer(&Timer);
  KeSetTimer(&Timer, Due, &Dpc);
  Ask();
  Sleep(200);
  return STATUS_SUCCESS;
}
