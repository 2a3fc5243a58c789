/* Its ISR claims every interrupt of a level line and never tells the device to stop asking. The line is vector 0x81: IRQL 8. */
#include <wdm.h>

static PKINTERRUPT Interrupt;

static BOOLEAN Claim(PKINTERRUPT ThisInterrupt, PVOID Context) { /* culprit */
  UNREFERENCED_PARAMETER(ThisInterrupt);
  UNREFERENCED_PARAMETER(Context);
  return TRUE;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath) {
  UNREFERENCED_PARAMETER(DriverObject);
  UNREFERENCED_PARAMETER(RegistryPath);
  return IoConnectInterrupt(&Interrupt, Claim, NULL, NULL, 0x81, 8, 8, LevelSensitive, TRUE, 1, FALSE);
}
