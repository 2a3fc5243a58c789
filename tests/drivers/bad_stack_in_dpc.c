/* Its DPC calls itself until the processor's DPC stack is used up. */
#include <wdm.h>

static KDPC Dpc;
static volatile LONG Forever = 1;

static DECLSPEC_NOINLINE LONG Deeper(LONG Depth) {
  volatile UCHAR Frame[512]; /* culprit */
  Frame[0] = (UCHAR)Depth;
  if (Forever) Depth = Deeper(Depth + 1);
  return Depth + Frame[0];
}

static VOID Run(PKDPC ThisDpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  UNREFERENCED_PARAMETER(ThisDpc);
  UNREFERENCED_PARAMETER(Context);
  UNREFERENCED_PARAMETER(Argument1);
  UNREFERENCED_PARAMETER(Argument2);
  Deeper(0);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  KeInitializeDpc(&Dpc, Run, NULL);
  KeInsertQueueDpc(&Dpc, NULL, NULL);
  return STATUS_SUCCESS;
}
