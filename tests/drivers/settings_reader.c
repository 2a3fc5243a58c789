// Reads its settings in the two ways drivers do, and tells the test.
#include <wdm.h>

VOID NTAPI TestSettingRead(PCSZ how, ULONG number);
static DRIVER_UNLOAD Unload;
static VOID Unload(PDRIVER_OBJECT driver) { UNREFERENCED_PARAMETER(driver); }

static NTSTATUS NTAPI each(PWSTR name, ULONG type, PVOID data, ULONG length, PVOID context, PVOID entry_context) {
  UNREFERENCED_PARAMETER(name);
  UNREFERENCED_PARAMETER(context);
  UNREFERENCED_PARAMETER(entry_context);
  TestSettingRead("callback", type == REG_DWORD && length == 4 ? *(ULONG *)data : 0);
  return STATUS_SUCCESS;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  ULONG depth = 0, absent = 7, fallback = 9;
  UNICODE_STRING text = {0, 0, NULL};
  RTL_QUERY_REGISTRY_TABLE table[] = {
      {NULL, RTL_QUERY_REGISTRY_SUBKEY, L"Parameters", NULL, REG_NONE, NULL, 0},
      {NULL, RTL_QUERY_REGISTRY_DIRECT, L"depth", &depth, REG_DWORD, &fallback, sizeof(fallback)},
      {NULL, RTL_QUERY_REGISTRY_DIRECT, L"absent", &absent, REG_DWORD, &fallback, sizeof(fallback)},
      {NULL, RTL_QUERY_REGISTRY_DIRECT, L"title", &text, REG_NONE, NULL, 0},
      {each, 0, L"Depth", NULL, REG_NONE, NULL, 0},
      {NULL, 0, NULL, NULL, 0, NULL, 0}};
  driver->DriverUnload = Unload;
  if (!NT_SUCCESS(RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, registry_path->Buffer, table, NULL, NULL))) return STATUS_UNSUCCESSFUL;
  TestSettingRead("direct", depth);
  TestSettingRead("default", absent);
  TestSettingRead("text", text.Length);
  ExFreePool(text.Buffer);
  if (depth == 13) ExAllocatePoolWithTag(NonPagedPool, 100, 'kaeL'); /* and forgets it */
  return STATUS_SUCCESS;
}
