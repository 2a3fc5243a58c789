// The registry as drivers use it: keys and values by handle, by path, and by table.
#include <gmock/gmock.h>
#include <wdm.h>

#include <cstring>
#include <string_view>

#include "kdpc/test.h"

namespace {

constexpr const char16_t* kSoftware = u"\\Registry\\Machine\\Software";

UNICODE_STRING text(const char16_t* of) {
  UNICODE_STRING string;
  RtlInitUnicodeString(&string, of);
  return string;
}

NTSTATUS open(HANDLE root, const char16_t* path, HANDLE* handle) {
  UNICODE_STRING name = text(path);
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, nullptr);
  return ZwOpenKey(handle, KEY_READ, &attributes);
}

NTSTATUS create(HANDLE root, const char16_t* path, HANDLE* handle, ULONG* disposition = nullptr) {
  UNICODE_STRING name = text(path);
  OBJECT_ATTRIBUTES attributes;
  InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, nullptr);
  return ZwCreateKey(handle, KEY_ALL_ACCESS, &attributes, 0, nullptr, REG_OPTION_NON_VOLATILE, disposition);
}

NTSTATUS set(HANDLE key, const char16_t* name, ULONG type, const void* data, ULONG size) {
  UNICODE_STRING its_name = text(name);
  return ZwSetValueKey(key, &its_name, 0, type, const_cast<void*>(data), size);
}

KDPC_TEST(Registry, AKeyIsCreatedUnderOneThatIsThere) {
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE top = nullptr, sub = nullptr, again = nullptr;
    ULONG disposition = 0;
    KDPC_EXPECT_EQ(create(nullptr, u"\\Registry\\Machine\\Nowhere\\Deep", &top), STATUS_OBJECT_NAME_NOT_FOUND);
    KDPC_EXPECT_EQ(create(nullptr, u"Machine", &top), STATUS_OBJECT_PATH_SYNTAX_BAD);
    KDPC_EXPECT_EQ(create(nullptr, u"\\", &top), STATUS_OBJECT_NAME_NOT_FOUND);  // above the first key there is none
    KDPC_EXPECT_EQ(RtlCreateRegistryKey(RTL_REGISTRY_ABSOLUTE, const_cast<PWSTR>(kSoftware)), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(open(nullptr, u"\\registry\\machine\\SOFTWARE\\", &top), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(create(top, u"Acme", &sub, &disposition), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(disposition, static_cast<ULONG>(REG_CREATED_NEW_KEY));
    KDPC_EXPECT_EQ(create(top, u"acme", &again, &disposition), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(disposition, static_cast<ULONG>(REG_OPENED_EXISTING_KEY));
    KDPC_EXPECT_EQ(ZwClose(again), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwClose(again), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ZwFlushKey(again), STATUS_INVALID_HANDLE);
    KDPC_EXPECT_EQ(ZwDeleteKey(top), STATUS_CANNOT_DELETE);  // it has a subkey
    KDPC_EXPECT_EQ(ZwDeleteKey(sub), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwFlushKey(sub), STATUS_KEY_DELETED);
    KDPC_EXPECT_EQ(open(top, u"Acme", &again), STATUS_OBJECT_NAME_NOT_FOUND);
    KDPC_EXPECT(again == nullptr);
    ZwClose(sub);
    ZwClose(top);
  });
}

KDPC_TEST(Registry, ValuesAreReplacedByNameAndListedInTheirOrder) {
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE key = nullptr;
    RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, const_cast<PWSTR>(u"acme"));
    KDPC_EXPECT_EQ(open(nullptr, u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\acme", &key), STATUS_SUCCESS);
    const ULONG one = 1, two = 2;
    KDPC_EXPECT_EQ(set(key, u"First", REG_DWORD, &one, sizeof one), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(set(key, u"Second", REG_DWORD, &one, sizeof one), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(set(key, u"FIRST", REG_DWORD, &two, sizeof two), STATUS_SUCCESS);
    alignas(8) UCHAR buffer[64];
    ULONG needed = 0;
    KDPC_EXPECT_EQ(ZwEnumerateValueKey(key, 0, KeyValuePartialInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(needed, 16u);
    KDPC_EXPECT_EQ(buffer[12], 2);
    KDPC_EXPECT_EQ(ZwEnumerateValueKey(key, 1, KeyValueBasicInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(reinterpret_cast<PKEY_VALUE_BASIC_INFORMATION>(buffer)->NameLength, 12u);
    KDPC_EXPECT_EQ(ZwEnumerateValueKey(key, 2, KeyValueBasicInformation, buffer, sizeof buffer, &needed), STATUS_NO_MORE_ENTRIES);
    UNICODE_STRING second = text(u"second");
    KDPC_EXPECT_EQ(ZwQueryValueKey(key, &second, KeyValueFullInformation, buffer, 8, &needed), STATUS_BUFFER_TOO_SMALL);
    KDPC_EXPECT_EQ(needed, 36u);
    KDPC_EXPECT_EQ(ZwQueryValueKey(key, &second, KeyValueFullInformation, buffer, 24, &needed), STATUS_BUFFER_OVERFLOW);
    KDPC_EXPECT_EQ(ZwDeleteValueKey(key, &second), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(ZwDeleteValueKey(key, &second), STATUS_OBJECT_NAME_NOT_FOUND);
    ZwClose(key);
  });
}

KDPC_TEST(Registry, SubkeysAreListedByName) {
  m.on(0, PASSIVE_LEVEL, [] {
    HANDLE key = nullptr;
    for (const char16_t* name : {u"zoo\\b", u"zoo\\C", u"zoo\\a", u"zoo\\a\\deeper"})
      KDPC_EXPECT_EQ(RtlCreateRegistryKey(RTL_REGISTRY_SERVICES, const_cast<PWSTR>(name)), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(open(nullptr, u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\zoo", &key), STATUS_SUCCESS);
    alignas(8) UCHAR buffer[128];
    ULONG needed = 0;
    const char16_t names[] = u"abC";
    for (ULONG index = 0; index < 3; ++index) {
      KDPC_EXPECT_EQ(ZwEnumerateKey(key, index, KeyBasicInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
      KDPC_EXPECT_EQ(reinterpret_cast<PKEY_BASIC_INFORMATION>(buffer)->Name[0], names[index]);
    }
    KDPC_EXPECT_EQ(ZwEnumerateKey(key, 3, KeyBasicInformation, buffer, sizeof buffer, &needed), STATUS_NO_MORE_ENTRIES);
    KDPC_EXPECT_EQ(ZwQueryKey(key, KeyFullInformation, buffer, sizeof buffer, &needed), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(reinterpret_cast<PKEY_FULL_INFORMATION>(buffer)->SubKeys, 3u);
    KDPC_EXPECT_EQ(ZwQueryKey(key, KeyNameInformation, buffer, 4, &needed), STATUS_BUFFER_OVERFLOW);
    ZwClose(key);
  });
}

int calls = 0;
NTSTATUS NTAPI each(PWSTR, ULONG type, PVOID data, ULONG length, PVOID, PVOID) {
  KDPC_EXPECT_EQ(type, static_cast<ULONG>(REG_SZ));
  KDPC_EXPECT_EQ(static_cast<PWCHAR>(data)[length / 2 - 1], 0);
  ++calls;
  return STATUS_SUCCESS;
}

KDPC_TEST(Registry, SingleValuesByPath) {
  calls = 0;
  m.on(0, PASSIVE_LEVEL, [] {
    PCWSTR path = u"acme\\Parameters";
    ULONG number = 5;
    KDPC_EXPECT_EQ(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, const_cast<PWSTR>(path)), STATUS_OBJECT_NAME_NOT_FOUND);
    KDPC_EXPECT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, u"Depth", REG_DWORD, &number, sizeof number), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, u"List", REG_MULTI_SZ, const_cast<PWSTR>(u"one\0two\0"), 18), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, const_cast<PWSTR>(path)), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlCheckRegistryKey(RTL_REGISTRY_MAXIMUM, const_cast<PWSTR>(path)), STATUS_INVALID_PARAMETER);
    ULONG read = 0;
    RTL_QUERY_REGISTRY_TABLE table[3] = {};
    table[0].Flags = RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_REQUIRED | RTL_QUERY_REGISTRY_DELETE;
    table[0].Name = const_cast<PWSTR>(u"Depth");
    table[0].EntryContext = &read;
    table[1].QueryRoutine = each;
    table[1].Name = const_cast<PWSTR>(u"List");
    KDPC_EXPECT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, table, nullptr, nullptr), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(read, 5u);
    KDPC_EXPECT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, table, nullptr, nullptr), STATUS_OBJECT_NAME_NOT_FOUND);  // deleted
    KDPC_EXPECT_EQ(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, path, u"List"), STATUS_SUCCESS);
    KDPC_EXPECT_EQ(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, path, u"List"), STATUS_OBJECT_NAME_NOT_FOUND);
  });
  EXPECT_EQ(calls, 2);
}

}  // namespace
