/* Calls itself until the thread's stack is used up. */
#include <wdm.h>

static volatile LONG Forever = 1;

static DECLSPEC_NOINLINE LONG Deeper(LONG Depth) {
  volatile UCHAR Frame[512]; /* culprit */
  Frame[0] = (UCHAR)Depth;
  if (Forever) Depth = Deeper(Depth + 1);
  return Depth + Frame[0];
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  return Deeper(0) == 0 ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}
