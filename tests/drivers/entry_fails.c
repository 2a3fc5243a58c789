// A driver that refuses to start, and says how often it has been asked: a fresh image begins at one.
#include <wdm.h>

static ULONG times_asked;
ULONG NTAPI TestEntryAsked(ULONG times);

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  PDEVICE_OBJECT forgotten;
  UNREFERENCED_PARAMETER(registry_path);
  IoCreateDevice(driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &forgotten);
  TestEntryAsked(++times_asked);
  return STATUS_DEVICE_CONFIGURATION_ERROR;
}
