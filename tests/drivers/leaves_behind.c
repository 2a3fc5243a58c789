/* Forgets something on unload; its setting `What` says what. */
#include <wdm.h>

static DRIVER_UNLOAD Unload;
static KDEFERRED_ROUTINE Routine;
static WORKER_THREAD_ROUTINE Work;
static KTIMER Timer;
static KDPC Dpc;
static WORK_QUEUE_ITEM Item;
typedef struct _ELSEWHERE {
  KTIMER Timer;
  KDPC Dpc;
} ELSEWHERE;
static ULONG What;

static VOID Routine(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2) {
  UNREFERENCED_PARAMETER(dpc);
  UNREFERENCED_PARAMETER(context);
  UNREFERENCED_PARAMETER(argument1);
  UNREFERENCED_PARAMETER(argument2);
}
static VOID Work(PVOID context) { UNREFERENCED_PARAMETER(context); }

static VOID Unload(PDRIVER_OBJECT driver) {
  LARGE_INTEGER due;
  PDEVICE_OBJECT device;
  ELSEWHERE* elsewhere;
  due.QuadPart = -10 * 1000 * 1000;
  switch (What) {
    case 0: /* a timer of the image */
      KeInitializeTimer(&Timer);
      KeSetTimer(&Timer, due, NULL);
      break;
    case 1: /* a timer in pool whose DPC calls the image */
      elsewhere = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*elsewhere), 'esle');
      KeInitializeTimer(&elsewhere->Timer);
      KeInitializeDpc(&elsewhere->Dpc, Routine, NULL);
      KeSetTimer(&elsewhere->Timer, due, &elsewhere->Dpc);
      break;
    case 2: /* a work item of the image; the priority keeps the workers away */
      KeSetPriorityThread(KeGetCurrentThread(), 31);
      ExInitializeWorkItem(&Item, Work, NULL);
      ExQueueWorkItem(&Item, DelayedWorkQueue);
      break;
    case 3: /* things of the system */
      (void)IoAllocateIrp(1, FALSE);
      (void)IoAllocateMdl(&Item, sizeof(Item), FALSE, FALSE, NULL);
      (void)IoAllocateWorkItem((PDEVICE_OBJECT)driver);
      (void)IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
      (void)ExAllocatePoolWithTag(NonPagedPoolNx, 24, 'kaeL');
      break;
  }
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  RTL_QUERY_REGISTRY_TABLE table[] = {{NULL, RTL_QUERY_REGISTRY_DIRECT, L"What", &What, REG_NONE, NULL, 0}, {NULL, 0, NULL, NULL, 0, NULL, 0}};
  driver->DriverUnload = Unload;
  return RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, registry_path->Buffer, table, NULL, NULL);
}
