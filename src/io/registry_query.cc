// The registry by RelativeTo and a path: queries by table, and single values.
#include "io/registry.h"

#include "io/objects.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::registry {

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
      return duplicate(string, {static_cast<const char16_t*>(datum.data), length / sizeof(WCHAR)}, kRtlStringTag) ? STATUS_SUCCESS : STATUS_NO_MEMORY;
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

// The routine is called once for each text of a REG_MULTI_SZ, unless it wants the whole.
NTSTATUS call_for_each(const RTL_QUERY_REGISTRY_TABLE& entry, PWSTR name, const Datum& datum, void* context) {
  const auto* text = static_cast<const char16_t*>(datum.data);
  const char16_t* const end = text + datum.size / sizeof(WCHAR);
  while (text < end && *text != 0) {
    const auto* next = text;
    while (next < end && *next != 0) ++next;
    const auto size = static_cast<ULONG>((next - text + 1) * static_cast<std::ptrdiff_t>(sizeof(WCHAR)));
    if (const NTSTATUS status = entry.QueryRoutine(name, REG_SZ, const_cast<char16_t*>(text), size, context, entry.EntryContext); !NT_SUCCESS(status))
      return status;
    text = next + 1;
  }
  return STATUS_SUCCESS;
}

NTSTATUS deliver(const RTL_QUERY_REGISTRY_TABLE& entry, PWSTR name, const Datum& datum, void* context) {
  if ((entry.Flags & RTL_QUERY_REGISTRY_DIRECT) == 0) {
    if (datum.type == REG_MULTI_SZ && (entry.Flags & RTL_QUERY_REGISTRY_NOEXPAND) == 0) return call_for_each(entry, name, datum, context);
    return entry.QueryRoutine(name, datum.type, const_cast<void*>(datum.data), datum.size, context, entry.EntryContext);
  }
  const ULONG expected = entry.DefaultType >> RTL_QUERY_REGISTRY_TYPECHECK_SHIFT;
  if ((entry.Flags & RTL_QUERY_REGISTRY_TYPECHECK) != 0 && expected != datum.type) return STATUS_OBJECT_TYPE_MISMATCH;
  return store(datum, entry.EntryContext);
}

NTSTATUS deliver_all(const RTL_QUERY_REGISTRY_TABLE& entry, const RegistryKey* key, void* context) {
  for (RegistryValue* value = key != nullptr ? key->values : nullptr; value != nullptr; value = value->next) {
    note_read(*value);
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

NTSTATUS query(std::u16string_view path, RegistryKey* top, const RTL_QUERY_REGISTRY_TABLE* entry, void* context) {
  RegistryKey* key = top;
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
      if (value != nullptr && NT_SUCCESS(status) && (entry->Flags & RTL_QUERY_REGISTRY_DELETE) != 0) remove_value(*key, text_of(entry->Name));
    }
    if (!NT_SUCCESS(status)) return status;
  }
  return STATUS_SUCCESS;
}

// STATUS_INVALID_PARAMETER: a RelativeTo that does not exist.
NTSTATUS resolve(ULONG relative_to, PCWSTR path, Name& result) {
  if ((relative_to & RTL_REGISTRY_HANDLE) != 0) {
    const RegistryKey* key = key_of(const_cast<WCHAR*>(path));
    if (key == nullptr) return STATUS_INVALID_HANDLE;
    result.append(view(key->path));
    return STATUS_SUCCESS;
  }
  switch (relative_to & 0xFF) {
    case RTL_REGISTRY_ABSOLUTE: break;
    case RTL_REGISTRY_SERVICES: result.append(kServices); break;
    case RTL_REGISTRY_CONTROL: result.append(kControl); break;
    case RTL_REGISTRY_WINDOWS_NT: result.append(kWindowsNt); break;
    case RTL_REGISTRY_DEVICEMAP: result.append(kDeviceMap); break;
    case RTL_REGISTRY_USER: result.append(kUser); break;
    default: return STATUS_INVALID_PARAMETER;
  }
  const std::u16string_view rest = text_of(path);
  if (!result.view().empty() && !rest.empty() && rest.front() != u'\\') result.append(u"\\");
  result.append(rest);
  return result.too_long() ? STATUS_NAME_TOO_LONG : STATUS_SUCCESS;
}

}  // namespace
}  // namespace kdpc::io::registry

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

NTSTATUS NTAPI RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, PRTL_QUERY_REGISTRY_TABLE QueryTable, PVOID Context, PVOID) {
  KDPC_ROUTINE(RtlQueryRegistryValues);
  KDPC_MAY_FAIL(RtlQueryRegistryValues, STATUS_INSUFFICIENT_RESOURCES);
  Name path;
  if (const NTSTATUS status = registry::resolve(RelativeTo, Path, path); !NT_SUCCESS(status)) return status;
  RegistryKey* key = registry::find(path.view());
  if (key == nullptr && (RelativeTo & RTL_REGISTRY_OPTIONAL) == 0) return STATUS_OBJECT_NAME_NOT_FOUND;
  return registry::query(path.view(), key, QueryTable, Context);
}

NTSTATUS NTAPI RtlCheckRegistryKey(ULONG RelativeTo, PWSTR Path) {
  KDPC_ROUTINE(RtlCheckRegistryKey);
  Name path;
  if (const NTSTATUS status = registry::resolve(RelativeTo, Path, path); !NT_SUCCESS(status)) return status;
  return registry::find(path.view()) != nullptr ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI RtlCreateRegistryKey(ULONG RelativeTo, PWSTR Path) {
  KDPC_ROUTINE(RtlCreateRegistryKey);
  Name path;
  if (const NTSTATUS status = registry::resolve(RelativeTo, Path, path); !NT_SUCCESS(status)) return status;
  return registry::make_key(path.view()) != nullptr ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

// The key is created if it is not there.
NTSTATUS NTAPI RtlWriteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName, ULONG ValueType, PVOID ValueData, ULONG ValueLength) {
  KDPC_ROUTINE(RtlWriteRegistryValue);
  Name path;
  if (const NTSTATUS status = registry::resolve(RelativeTo, Path, path); !NT_SUCCESS(status)) return status;
  RegistryKey* key = registry::make_key(path.view());
  const bool done = key != nullptr && registry::set(*key, registry::text_of(ValueName), ValueType, ValueData, ValueLength);
  return done ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI RtlDeleteRegistryValue(ULONG RelativeTo, PCWSTR Path, PCWSTR ValueName) {
  KDPC_ROUTINE(RtlDeleteRegistryValue);
  Name path;
  if (const NTSTATUS status = registry::resolve(RelativeTo, Path, path); !NT_SUCCESS(status)) return status;
  RegistryKey* key = registry::find(path.view());
  if (key == nullptr || !registry::remove_value(*key, registry::text_of(ValueName))) return STATUS_OBJECT_NAME_NOT_FOUND;
  return STATUS_SUCCESS;
}

}  // extern "C"
