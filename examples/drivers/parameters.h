/* A driver's parameters: values of the key Parameters below its service key, where setup programs and administrators put them.
 *
 * PASSIVE_LEVEL. A value that is missing, or of another type, is the default. */
#ifndef PARAMETERS_H
#define PARAMETERS_H

#include <wdm.h>

static HANDLE OpenParameters(PUNICODE_STRING RegistryPath) {
  OBJECT_ATTRIBUTES Attributes;
  UNICODE_STRING Name;
  HANDLE Service, Parameters = NULL;
  InitializeObjectAttributes(&Attributes, RegistryPath, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
  if (!NT_SUCCESS(ZwOpenKey(&Service, KEY_READ, &Attributes))) return NULL;
  RtlInitUnicodeString(&Name, L"Parameters");
  InitializeObjectAttributes(&Attributes, &Name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, Service, NULL);
  if (!NT_SUCCESS(ZwOpenKey(&Parameters, KEY_READ, &Attributes))) Parameters = NULL;
  ZwClose(Service);
  return Parameters;
}

static ULONG ReadParameter(PUNICODE_STRING RegistryPath, PCWSTR ValueName, ULONG Default) {
  union {
    KEY_VALUE_PARTIAL_INFORMATION Value;
    UCHAR Room[sizeof(KEY_VALUE_PARTIAL_INFORMATION) + sizeof(ULONG)];
  } Information;
  UNICODE_STRING Name;
  ULONG Length, Result = Default;
  HANDLE Key = OpenParameters(RegistryPath);
  if (Key == NULL) return Default;
  RtlInitUnicodeString(&Name, ValueName);
  if (NT_SUCCESS(ZwQueryValueKey(Key, &Name, KeyValuePartialInformation, &Information, sizeof(Information), &Length)) &&
      Information.Value.Type == REG_DWORD && Information.Value.DataLength == sizeof(ULONG))
    RtlCopyMemory(&Result, Information.Value.Data, sizeof(Result));
  ZwClose(Key);
  return Result;
}

#endif
