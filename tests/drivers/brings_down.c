/* Drivers that end a run otherwise than by a mistake of theirs that is known. The registry says how: 1 ends the process, without asking anybody, when its timer's
 * DPC comes while the thread is at work; 2 loops for ever then, at calls of nobody; 3 likewise, reading a flag; 4 likewise in the thread. */
#include <ntddk.h>

static ULONG How;
static KTIMER Timer;
static KDPC Dpc;
static PKTHREAD Thread;
static volatile LONG Busy, Never;

static VOID EndTheProcess(VOID) {
  LONG64 Call = 231; /* exit_group, of Linux */
  __asm__ volatile("syscall" : "+a"(Call) : "D"((LONG64)3) : "rcx", "r11", "memory");
}

static VOID NTAPI Tick(PKDPC TheDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  if (!Busy) return;
  if (How == 1) EndTheProcess();
  while (How == 2) continue;
  while (How == 3 && !Never) continue;
  Never = How == 4;
}

static VOID NTAPI Work(PVOID Context) {
  LARGE_INTEGER Due;
  Due.QuadPart = -10000;
  KeSetTimer(&Timer, Due, &Dpc);
  Busy = 1;
  KeQueryActiveProcessorCount(NULL);
  while (Never) continue;
  Busy = 0;
  PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject) {
  KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
  ObDereferenceObject(Thread);
  KeCancelTimer(&Timer);
  KeFlushQueuedDpcs();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  RTL_QUERY_REGISTRY_TABLE Values[2];
  HANDLE Handle;
  NTSTATUS Status;
  RtlZeroMemory(Values, sizeof(Values));
  Values[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
  Values[0].Name = L"How";
  Values[0].EntryContext = &How;
  RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, Values, NULL, NULL);
  KeInitializeTimer(&Timer);
  KeInitializeDpc(&Dpc, Tick, NULL);
  DriverObject->DriverUnload = Unload;
  Status = PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Work, NULL);
  if (!NT_SUCCESS(Status)) return Status;
  ObReferenceObjectByHandle(Handle, THREAD_ALL_ACCESS, NULL, KernelMode, (PVOID*)&Thread, NULL);
  ZwClose(Handle);
  return STATUS_SUCCESS;
}
