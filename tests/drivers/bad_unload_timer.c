/* Unloads with its timers set. Their memory is the pool's, so only their routines are inside the driver: a KDPC's, or an EX_TIMER's callback. */
#include <wdm.h>

typedef struct _TIMED {
  KTIMER Timer;
  KDPC Dpc;
} TIMED;

static VOID Run(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(Dpc);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
}

static VOID Called(PEX_TIMER Timer, PVOID Context) {
  UNREFERENCED_PARAMETER(Timer);
  UNREFERENCED_PARAMETER(Context);
}

static VOID Unload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

/* The driver's parameter: without it a KTIMER, with it an EX_TIMER. */
static BOOLEAN WantsExTimer(PUNICODE_STRING RegistryPath) {
  ULONG Wanted = 0;
  RTL_QUERY_REGISTRY_TABLE Table[2];
  RtlZeroMemory(Table, sizeof(Table));
  Table[0].Flags = RTL_QUERY_REGISTRY_DIRECT;
  Table[0].Name = L"ExTimer";
  Table[0].EntryContext = &Wanted;
  RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, RegistryPath->Buffer, Table, NULL, NULL);
  return Wanted != 0;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  LARGE_INTEGER Due;
  TIMED *Timed;
  DriverObject->DriverUnload = Unload;
  Due.QuadPart = -10000000;
  if (WantsExTimer(RegistryPath)) {
    PEX_TIMER Timer = ExAllocateTimer(Called, NULL, 0);
    if (Timer == NULL) return STATUS_INSUFFICIENT_RESOURCES;
    ExSetTimer(Timer, Due.QuadPart, 0, NULL);
    return STATUS_SUCCESS;
  }
  Timed = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(TIMED), 'tdaB');
  if (Timed == NULL) return STATUS_INSUFFICIENT_RESOURCES;
  KeInitializeTimer(&Timed->Timer);
  KeInitializeDpc(&Timed->Dpc, Run, NULL);
  KeSetTimer(&Timed->Timer, Due, &Timed->Dpc);
  return STATUS_SUCCESS;
}
