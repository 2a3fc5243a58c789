/* Connects its interrupt, then refuses to start, and forgets to disconnect. */
#include <wdm.h>

static KSERVICE_ROUTINE Serve;
static PKINTERRUPT Interrupt;

static BOOLEAN Serve(PKINTERRUPT interrupt, PVOID context) {
  UNREFERENCED_PARAMETER(interrupt);
  UNREFERENCED_PARAMETER(context);
  return TRUE;
}

DRIVER_INITIALIZE DriverEntry;
NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path) {
  UNREFERENCED_PARAMETER(driver);
  UNREFERENCED_PARAMETER(path);
  IoConnectInterrupt(&Interrupt, Serve, NULL, NULL, 0x51, 5, 5, Latched, FALSE, 1, FALSE);
  return STATUS_INSUFFICIENT_RESOURCES;
}
