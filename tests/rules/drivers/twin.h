/* A driver and its twin: what both are made of. With BAD it makes the mistake; the line to be found is marked culprit. */
#pragma once
#include <wdm.h>

#define UNUSED_PARAMETERS(a, b) \
  UNREFERENCED_PARAMETER(a);    \
  UNREFERENCED_PARAMETER(b)

#ifdef BAD
#define BAD_OR_GOOD(bad, good) bad
#else
#define BAD_OR_GOOD(bad, good) good
#endif

static VOID NothingToUnload(PDRIVER_OBJECT DriverObject) { UNREFERENCED_PARAMETER(DriverObject); }

static inline VOID Sleep(ULONG Milliseconds) {
  LARGE_INTEGER Interval;
  Interval.QuadPart = -10000LL * Milliseconds;
  KeDelayExecutionThread(KernelMode, FALSE, &Interval);
}
