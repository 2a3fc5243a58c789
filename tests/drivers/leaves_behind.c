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
static IO_WORKITEM_ROUTINE IoWork;
static VOID IoWork(PDEVICE_OBJECT device, PVOID context) {
  UNREFERENCED_PARAMETER(device);
  UNREFERENCED_PARAMETER(context);
}
static KSTART_ROUTINE Sleep;
static VOID Sleep(PVOID context) {
  LARGE_INTEGER long_time;
  UNREFERENCED_PARAMETER(context);
  long_time.QuadPart = -10 * 1000 * 1000;
  KeDelayExecutionThread(KernelMode, FALSE, &long_time);
}

static VOID Unload(PDRIVER_OBJECT driver) {
  LARGE_INTEGER due;
  PDEVICE_OBJECT device;
  HANDLE thread;
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
    case 4: /* a work item elsewhere that calls the image */
      KeSetPriorityThread(KeGetCurrentThread(), 31);
      IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &device);
      IoQueueWorkItem(IoAllocateWorkItem(device), IoWork, DelayedWorkQueue, NULL);
      break;
    case 5: /* a thread */
      if (NT_SUCCESS(PsCreateSystemThread(&thread, THREAD_ALL_ACCESS, NULL, NULL, NULL, Sleep, NULL))) ZwClose(thread);
      break;
  }
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  RTL_QUERY_REGISTRY_TABLE table[] = {{NULL, RTL_QUERY_REGISTRY_DIRECT, L"What", &What, REG_NONE, NULL, 0}, {NULL, 0, NULL, NULL, 0, NULL, 0}};
  driver->DriverUnload = Unload;
  return RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, registry_path->Buffer, table, NULL, NULL);
}
