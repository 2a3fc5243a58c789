#include "io/registry.h"

#include "io/objects.h"
#include "wdk/routine.h"

namespace kdpc::io::registry {

namespace {

constexpr ULONG_PTR kHandleMark = 2;  // threads' handles are marked with 1

HANDLE handle_of(RegistryKey* key) { return reinterpret_cast<HANDLE>(reinterpret_cast<ULONG_PTR>(key) | kHandleMark); }

RegistryKey* key_of(HANDLE handle) {
  const auto value = reinterpret_cast<ULONG_PTR>(handle);
  if ((value & 3) != kHandleMark) return nullptr;
  Guard guard;
  for (RegistryKey* key = manager().registry_keys; key != nullptr; key = key->next)
    if (reinterpret_cast<ULONG_PTR>(key) == (value & ~ULONG_PTR{3})) return key;
  return nullptr;
}

std::u16string_view trimmed(std::u16string_view path) {
  while (!path.empty() && path.back() == u'\\') path.remove_suffix(1);
  return path;
}

std::u16string_view text_of(PCWSTR text) {
  std::size_t length = 0;
  while (text[length] != 0) ++length;
  return {text, length};
}

constexpr std::u16string_view kServices = u"\\Registry\\Machine\\System\\CurrentControlSet\\Services";
constexpr std::u16string_view kControl = u"\\Registry\\Machine\\System\\CurrentControlSet\\Control";

}  // namespace

RegistryKey* find(std::u16string_view path) {
  Guard guard;
  for (RegistryKey* key = manager().registry_keys; key != nullptr; key = key->next)
    if (equal(view(key->path), trimmed(path))) return key;
  return nullptr;
}

RegistryKey* make_key(std::u16string_view path) {
  if (RegistryKey* existing = find(path)) return existing;
  auto* key = make<RegistryKey>();
  if (key == nullptr || !duplicate(key->path, trimmed(path))) return nullptr;
  Guard guard;
  key->next = manager().registry_keys;
  return manager().registry_keys = key;
}

bool set(RegistryKey& key, std::u16string_view name, ULONG type, const void* data, std::size_t size) {
  auto* value = make<RegistryValue>(sizeof(RegistryValue) + size);
  if (value == nullptr || !duplicate(value->name, name)) return false;
  value->type = type;
  value->size = static_cast<ULONG>(size);
  std::memcpy(value->data, data, size);
  Guard guard;
  RegistryValue** slot = &key.values;
  while (*slot != nullptr) slot = &(*slot)->next;
  *slot = value;
  return true;
}

void clear(RegistryKey& key) {
  while (RegistryValue* value = key.values) {
    key.values = value->next;
    release(value->name);
    discard(value);
  }
}

bool close(std::uintptr_t handle) { return key_of(reinterpret_cast<HANDLE>(handle)) != nullptr; }

const RegistryValue* value_of(const RegistryKey& key, std::u16string_view name) {
  Guard guard;
  for (const RegistryValue* value = key.values; value != nullptr; value = value->next)
    if (equal(view(value->name), name)) return value;
  return nullptr;
}

namespace {

struct Datum {
  ULONG type;
  const void* data;
  ULONG size;
};

bool is_text(ULONG type) { return type == REG_SZ || type == REG_EXPAND_SZ || type == REG_MULTI_SZ; }

// RTL_QUERY_REGISTRY_DIRECT: a number into an ULONG, text into a UNICODE_STRING, other bytes into a buffer whose first LONG is its size.
NTSTATUS store(const Datum& datum, void* destination) {
  if (is_text(datum.type)) {
    auto& string = *static_cast<UNICODE_STRING*>(destination);
    const ULONG length = datum.type == REG_MULTI_SZ || datum.size < sizeof(WCHAR) ? datum.size : datum.size - static_cast<ULONG>(sizeof(WCHAR));
    if (string.Buffer == nullptr)
      return duplicate(string, {static_cast<const char16_t*>(datum.data), length / sizeof(WCHAR)}) ? STATUS_SUCCESS : STATUS_NO_MEMORY;
    if (string.MaximumLength < datum.size) return STATUS_BUFFER_TOO_SMALL;
    std::memcpy(string.Buffer, datum.data, datum.size);
    string.Length = static_cast<USHORT>(length);
    return STATUS_SUCCESS;
  }
  if (datum.size <= sizeof(ULONG)) {
    std::memcpy(destination, datum.data, datum.size);
    return STATUS_SUCCESS;
  }
  LONG room = 0;
  std::memcpy(&room, destination, sizeof room);
  if (room < 0) {
    if (static_cast<ULONG>(-room) < datum.size) return STATUS_BUFFER_TOO_SMALL;
    std::memcpy(destination, datum.data, datum.size);
    return STATUS_SUCCESS;
  }
  const ULONG header[2] = {datum.size, datum.type};
  if (static_cast<ULONG>(room) < sizeof header + datum.size) return STATUS_BUFFER_TOO_SMALL;
  std::memcpy(destination, header, sizeof header);
  std::memcpy(static_cast<std::byte*>(destination) + sizeof header, datum.data, datum.size);
  return STATUS_SUCCESS;
}

NTSTATUS deliver(const RTL_QUERY_REGISTRY_TABLE& entry, PWSTR name, const Datum& datum, void* context) {
  if ((entry.Flags & RTL_QUERY_REGISTRY_DIRECT) == 0)
    return entry.QueryRoutine(name, datum.type, const_cast<void*>(datum.data), datum.size, context, entry.EntryContext);
  const ULONG expected = entry.DefaultType >> RTL_QUERY_REGISTRY_TYPECHECK_SHIFT;
  if ((entry.Flags & RTL_QUERY_REGISTRY_TYPECHECK) != 0 && expected != datum.type) return STATUS_OBJECT_TYPE_MISMATCH;
  return store(datum, entry.EntryContext);
}

NTSTATUS deliver_all(const RTL_QUERY_REGISTRY_TABLE& entry, const RegistryKey* key, void* context) {
  for (const RegistryValue* value = key != nullptr ? key->values : nullptr; value != nullptr; value = value->next) {
    const NTSTATUS status = deliver(entry, value->name.Buffer, {value->type, value->data, value->size}, context);
    if (!NT_SUCCESS(status) && status != STATUS_BUFFER_TOO_SMALL) return status;
  }
  return STATUS_SUCCESS;
}

NTSTATUS deliver_default(const RTL_QUERY_REGISTRY_TABLE& entry, void* context) {
  if ((entry.Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0) return STATUS_OBJECT_NAME_NOT_FOUND;
  Datum datum = {entry.DefaultType & 0xFF, entry.DefaultData, entry.DefaultLength};
  if (datum.type == REG_NONE) return STATUS_SUCCESS;
  if (datum.size == 0 && is_text(datum.type) && datum.data != nullptr)
    datum.size = static_cast<ULONG>((text_of(static_cast<PCWSTR>(datum.data)).size() + 1) * sizeof(WCHAR));
  if (datum.size == 0 && datum.type == REG_DWORD) datum.size = sizeof(ULONG);
  if ((entry.Flags & RTL_QUERY_REGISTRY_DIRECT) != 0) return datum.data != nullptr ? store(datum, entry.EntryContext) : STATUS_SUCCESS;
  return entry.QueryRoutine(entry.Name, datum.type, const_cast<void*>(datum.data), datum.size, context, entry.EntryContext);
}

NTSTATUS query(std::u16string_view path, const RegistryKey* top, const RTL_QUERY_REGISTRY_TABLE* entry, void* context) {
  const RegistryKey* key = top;
  for (; entry->QueryRoutine != nullptr || entry->Name != nullptr || (entry->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_DIRECT)) != 0;
       ++entry) {
    NTSTATUS status = STATUS_SUCCESS;
    if ((entry->Flags & (RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_SUBKEY)) != 0) key = top;
    if ((entry->Flags & RTL_QUERY_REGISTRY_SUBKEY) != 0) {
      if (entry->Name == nullptr) return STATUS_INVALID_PARAMETER;
      key = find(Name(path).append(u"\\").append(text_of(entry->Name)).view());
      if (key == nullptr && (entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0) return STATUS_OBJECT_NAME_NOT_FOUND;
      if (entry->QueryRoutine != nullptr) status = deliver_all(*entry, key, context);
    } else if ((entry->Flags & RTL_QUERY_REGISTRY_NOVALUE) != 0) {
      status = entry->QueryRoutine(nullptr, REG_NONE, nullptr, 0, context, entry->EntryContext);
    } else if (entry->Name == nullptr) {
      status = deliver_all(*entry, key, context);
    } else {
      const RegistryValue* value = key != nullptr ? value_of(*key, text_of(entry->Name)) : nullptr;
      status =
          value != nullptr ? deliver(*entry, value->name.Buffer, {value->type, value->data, value->size}, context) : deliver_default(*entry, context);
    }
    if (!NT_SUCCESS(status)) return status;
  }
  return STATUS_SUCCESS;
}

// Of the two information classes drivers use, laid out as documented. STATUS_BUFFER_OVERFLOW: the fixed part fitted, the data did not.
NTSTATUS describe(const RegistryValue& value, KEY_VALUE_INFORMATION_CLASS how, void* out, ULONG room, ULONG& needed) {
  if (how == KeyValuePartialInformation) {
    constexpr ULONG kFixed = offsetof(KEY_VALUE_PARTIAL_INFORMATION, Data);
    needed = kFixed + value.size;
    if (room < kFixed) return STATUS_BUFFER_TOO_SMALL;
    auto& information = *static_cast<KEY_VALUE_PARTIAL_INFORMATION*>(out);
    information.TitleIndex = 0;
    information.Type = value.type;
    information.DataLength = value.size;
    if (room < needed) return STATUS_BUFFER_OVERFLOW;
    std::memcpy(information.Data, value.data, value.size);
    return STATUS_SUCCESS;
  }
  if (how != KeyValueFullInformation) return STATUS_INVALID_PARAMETER;
  constexpr ULONG kFixed = offsetof(KEY_VALUE_FULL_INFORMATION, Name);
  const ULONG offset = (kFixed + value.name.Length + 7u) & ~7u;
  needed = offset + value.size;
  if (room < kFixed) return STATUS_BUFFER_TOO_SMALL;
  auto& information = *static_cast<KEY_VALUE_FULL_INFORMATION*>(out);
  information = {0, value.type, offset, value.size, value.name.Length, {}};
  if (room < needed) return STATUS_BUFFER_OVERFLOW;
  std::memcpy(information.Name, value.name.Buffer, value.name.Length);
  std::memcpy(static_cast<std::byte*>(out) + offset, value.data, value.size);
  return STATUS_SUCCESS;
}

}  // namespace
}  // namespace kdpc::io::registry

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

NTSTATUS NTAPI RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, PRTL_QUERY_REGISTRY_TABLE QueryTable, PVOID Context, PVOID) {
  KDPC_ROUTINE(RtlQueryRegistryValues);
  const bool optional = (RelativeTo & RTL_REGISTRY_OPTIONAL) != 0;
  Name path;
  const RegistryKey* key = nullptr;
  if ((RelativeTo & RTL_REGISTRY_HANDLE) != 0) {
    key = registry::key_of(const_cast<WCHAR*>(Path));
    if (key == nullptr) return STATUS_INVALID_HANDLE;
    path.append(view(key->path));
  } else {
    switch (RelativeTo & 0xFF) {
      case RTL_REGISTRY_ABSOLUTE: break;
      case RTL_REGISTRY_SERVICES: path.append(registry::kServices).append(u"\\"); break;
      case RTL_REGISTRY_CONTROL: path.append(registry::kControl).append(u"\\"); break;
      default: return STATUS_NOT_SUPPORTED;
    }
    path.append(registry::text_of(Path));
    key = registry::find(path.view());
    if (key == nullptr && !optional) return STATUS_OBJECT_NAME_NOT_FOUND;
  }
  return registry::query(path.view(), key, QueryTable, Context);
}

NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK, POBJECT_ATTRIBUTES ObjectAttributes) {
  KDPC_ROUTINE(ZwOpenKey);
  Name path;
  if (ObjectAttributes->RootDirectory != nullptr) {
    const RegistryKey* root = registry::key_of(ObjectAttributes->RootDirectory);
    if (root == nullptr) return STATUS_INVALID_HANDLE;
    path.append(view(root->path)).append(u"\\");
  }
  path.append(view(*ObjectAttributes->ObjectName));
  RegistryKey* key = registry::find(path.view());
  *KeyHandle = key != nullptr ? registry::handle_of(key) : nullptr;
  return key != nullptr ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                               PVOID KeyValueInformation, ULONG Length, PULONG ResultLength) {
  KDPC_ROUTINE(ZwQueryValueKey);
  const RegistryKey* key = registry::key_of(KeyHandle);
  if (key == nullptr) return STATUS_INVALID_HANDLE;
  const RegistryValue* value = registry::value_of(*key, view(*ValueName));
  if (value == nullptr) return STATUS_OBJECT_NAME_NOT_FOUND;
  return registry::describe(*value, KeyValueInformationClass, KeyValueInformation, Length, *ResultLength);
}

NTSTATUS NTAPI IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG, ACCESS_MASK, PHANDLE DeviceRegKey) {
  KDPC_ROUTINE(IoOpenDeviceRegistryKey);
  *DeviceRegKey = nullptr;
  // The device's own settings are those of the driver above it: scenarios give settings to drivers.
  const DEVICE_OBJECT* above = DeviceObject->AttachedDevice;
  const Driver& driver = driver_of(above != nullptr ? above : DeviceObject);
  RegistryKey* key = registry::find(Name(view(driver.registry_path)).append(u"\\Parameters").view());
  if (key == nullptr) return STATUS_OBJECT_NAME_NOT_FOUND;
  *DeviceRegKey = registry::handle_of(key);
  return STATUS_SUCCESS;
}

}  // extern "C"
