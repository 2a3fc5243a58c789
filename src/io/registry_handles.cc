// The registry through handles: ZwOpenKey and its like. What is asked of a key or value is laid out as documented: too small a buffer for the fixed
// part is STATUS_BUFFER_TOO_SMALL, for the rest STATUS_BUFFER_OVERFLOW with the fixed part filled in.
#include "io/objects.h"
#include "io/registry.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

// An answer of two parts and the pieces behind them, cut where the buffer ends.
class Answer {
 public:
  Answer(void* out, ULONG room, ULONG& needed, ULONG fixed, ULONG size)
      : out_(static_cast<std::byte*>(out)), room_(room), fixed_(fixed), size_(size) {
    needed = size;
  }
  bool has_fixed_part() const { return room_ >= fixed_; }
  template <class Information>
  Information& as() const {
    return *reinterpret_cast<Information*>(out_);
  }
  void put(ULONG offset, const void* data, ULONG size) const {
    if (offset >= room_ || size == 0) return;
    std::memcpy(out_ + offset, data, size < room_ - offset ? size : room_ - offset);
  }
  NTSTATUS verdict() const { return room_ < fixed_ ? STATUS_BUFFER_TOO_SMALL : room_ < size_ ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS; }

 private:
  std::byte* out_;
  ULONG room_, fixed_, size_;
};

NTSTATUS describe_value(const RegistryValue& value, KEY_VALUE_INFORMATION_CLASS how, void* out, ULONG room, ULONG& needed) {
  switch (how) {
    case KeyValueBasicInformation: {
      constexpr ULONG kFixed = offsetof(KEY_VALUE_BASIC_INFORMATION, Name);
      const Answer answer(out, room, needed, kFixed, kFixed + value.name.Length);
      if (!answer.has_fixed_part()) return answer.verdict();
      auto& information = answer.as<KEY_VALUE_BASIC_INFORMATION>();
      information.TitleIndex = 0;
      information.Type = value.type;
      information.NameLength = value.name.Length;
      answer.put(kFixed, value.name.Buffer, value.name.Length);
      return answer.verdict();
    }
    case KeyValuePartialInformation: {
      constexpr ULONG kFixed = offsetof(KEY_VALUE_PARTIAL_INFORMATION, Data);
      const Answer answer(out, room, needed, kFixed, kFixed + value.size);
      if (!answer.has_fixed_part()) return answer.verdict();
      auto& information = answer.as<KEY_VALUE_PARTIAL_INFORMATION>();
      information.TitleIndex = 0;
      information.Type = value.type;
      information.DataLength = value.size;
      answer.put(kFixed, value.data, value.size);
      return answer.verdict();
    }
    case KeyValueFullInformation: {
      constexpr ULONG kFixed = offsetof(KEY_VALUE_FULL_INFORMATION, Name);
      const ULONG offset = (kFixed + value.name.Length + 7u) & ~7u;
      const Answer answer(out, room, needed, kFixed, offset + value.size);
      if (!answer.has_fixed_part()) return answer.verdict();
      auto& information = answer.as<KEY_VALUE_FULL_INFORMATION>();
      information.TitleIndex = 0;
      information.Type = value.type;
      information.DataOffset = offset;
      information.DataLength = value.size;
      information.NameLength = value.name.Length;
      answer.put(kFixed, value.name.Buffer, value.name.Length);
      answer.put(offset, value.data, value.size);
      return answer.verdict();
    }
    default: return STATUS_INVALID_PARAMETER;
  }
}

NTSTATUS describe_full(const RegistryKey& key, void* out, ULONG room, ULONG& needed) {
  constexpr ULONG kFixed = offsetof(KEY_FULL_INFORMATION, Class);
  const Answer answer(out, room, needed, kFixed, kFixed);
  if (!answer.has_fixed_part()) return answer.verdict();
  auto& information = answer.as<KEY_FULL_INFORMATION>();
  std::memset(&information, 0, kFixed);
  information.ClassOffset = MAXULONG;
  for (ULONG index = 0; const RegistryKey* subkey = registry::subkey_at(key, index); ++index) {
    const auto length = static_cast<ULONG>(registry::name_of(*subkey).size() * sizeof(WCHAR));
    ++information.SubKeys;
    if (length > information.MaxNameLen) information.MaxNameLen = length;
  }
  for (ULONG index = 0; const RegistryValue* value = registry::value_at(key, index); ++index) {
    ++information.Values;
    if (value->name.Length > information.MaxValueNameLen) information.MaxValueNameLen = value->name.Length;
    if (value->size > information.MaxValueDataLen) information.MaxValueDataLen = value->size;
  }
  return answer.verdict();
}

NTSTATUS describe_key(const RegistryKey& key, KEY_INFORMATION_CLASS how, void* out, ULONG room, ULONG& needed) {
  const std::u16string_view name = registry::name_of(key);
  const auto length = static_cast<ULONG>(name.size() * sizeof(WCHAR));
  switch (how) {
    case KeyBasicInformation: {
      constexpr ULONG kFixed = offsetof(KEY_BASIC_INFORMATION, Name);
      const Answer answer(out, room, needed, kFixed, kFixed + length);
      if (!answer.has_fixed_part()) return answer.verdict();
      auto& information = answer.as<KEY_BASIC_INFORMATION>();
      information.LastWriteTime.QuadPart = 0;
      information.TitleIndex = 0;
      information.NameLength = length;
      answer.put(kFixed, name.data(), length);
      return answer.verdict();
    }
    case KeyNodeInformation: {
      constexpr ULONG kFixed = offsetof(KEY_NODE_INFORMATION, Name);
      const Answer answer(out, room, needed, kFixed, kFixed + length);
      if (!answer.has_fixed_part()) return answer.verdict();
      auto& information = answer.as<KEY_NODE_INFORMATION>();
      std::memset(&information, 0, kFixed);
      information.ClassOffset = MAXULONG;
      information.NameLength = length;
      answer.put(kFixed, name.data(), length);
      return answer.verdict();
    }
    case KeyFullInformation: return describe_full(key, out, room, needed);
    case KeyNameInformation: {
      constexpr ULONG kFixed = offsetof(KEY_NAME_INFORMATION, Name);
      const Answer answer(out, room, needed, kFixed, kFixed + key.path.Length);
      if (!answer.has_fixed_part()) return answer.verdict();
      answer.as<KEY_NAME_INFORMATION>().NameLength = key.path.Length;
      answer.put(kFixed, key.path.Buffer, key.path.Length);
      return answer.verdict();
    }
    default: return STATUS_INVALID_PARAMETER;
  }
}

// The key behind a handle that is open and has not been deleted.
NTSTATUS live_key(HANDLE handle, RegistryKey*& key) {
  key = registry::key_of(handle);
  if (key == nullptr) return STATUS_INVALID_HANDLE;
  return key->deleted ? STATUS_KEY_DELETED : STATUS_SUCCESS;
}

NTSTATUS path_of(const OBJECT_ATTRIBUTES& attributes, Name& path) {
  if (attributes.RootDirectory != nullptr) {
    RegistryKey* root = nullptr;
    if (const NTSTATUS status = live_key(attributes.RootDirectory, root); !NT_SUCCESS(status)) return status;
    path.append(view(root->path));
    if (attributes.ObjectName->Length != 0) path.append(u"\\");
  }
  path.append(view(*attributes.ObjectName));
  if (path.too_long()) return STATUS_NAME_TOO_LONG;
  return !path.view().empty() && path.view().front() == u'\\' ? STATUS_SUCCESS : STATUS_OBJECT_PATH_SYNTAX_BAD;
}

NTSTATUS hand_out(RegistryKey* key, PHANDLE handle, const void* owner) {
  *handle = key != nullptr ? registry::open(*key, owner) : nullptr;
  return *handle != nullptr ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

}  // namespace

extern "C" {

NTSTATUS NTAPI ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK, POBJECT_ATTRIBUTES ObjectAttributes) {
  KDPC_ROUTINE(ZwOpenKey);
  *KeyHandle = nullptr;
  KDPC_MAY_FAIL(ZwOpenKey, STATUS_INSUFFICIENT_RESOURCES);
  Name path;
  if (const NTSTATUS status = path_of(*ObjectAttributes, path); !NT_SUCCESS(status)) return status;
  RegistryKey* key = registry::find(path.view());
  return key != nullptr ? hand_out(key, KeyHandle, __builtin_return_address(0)) : STATUS_OBJECT_NAME_NOT_FOUND;
}

// Only the last component is created; the key above must be there.
NTSTATUS NTAPI ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK, POBJECT_ATTRIBUTES ObjectAttributes, ULONG, PUNICODE_STRING, ULONG, PULONG Disposition) {
  KDPC_ROUTINE(ZwCreateKey);
  *KeyHandle = nullptr;
  KDPC_MAY_FAIL(ZwCreateKey, STATUS_INSUFFICIENT_RESOURCES);
  Name path;
  if (const NTSTATUS status = path_of(*ObjectAttributes, path); !NT_SUCCESS(status)) return status;
  RegistryKey* key = registry::find(path.view());
  if (Disposition != nullptr) *Disposition = key != nullptr ? REG_OPENED_EXISTING_KEY : REG_CREATED_NEW_KEY;
  if (key != nullptr) return hand_out(key, KeyHandle, __builtin_return_address(0));
  if (registry::find(registry::parent_of(path.view())) == nullptr) return STATUS_OBJECT_NAME_NOT_FOUND;
  return hand_out(registry::make_key(path.view()), KeyHandle, __builtin_return_address(0));
}

NTSTATUS NTAPI ZwDeleteKey(HANDLE KeyHandle) {
  KDPC_ROUTINE(ZwDeleteKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  return registry::remove(*key) ? STATUS_SUCCESS : STATUS_CANNOT_DELETE;
}

NTSTATUS NTAPI ZwFlushKey(HANDLE KeyHandle) {
  KDPC_ROUTINE(ZwFlushKey);
  RegistryKey* key = nullptr;
  return live_key(KeyHandle, key);
}

NTSTATUS NTAPI ZwQueryKey(HANDLE KeyHandle, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation, ULONG Length, PULONG ResultLength) {
  KDPC_ROUTINE(ZwQueryKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  return describe_key(*key, KeyInformationClass, KeyInformation, Length, *ResultLength);
}

NTSTATUS NTAPI ZwEnumerateKey(HANDLE KeyHandle, ULONG Index, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation, ULONG Length,
                              PULONG ResultLength) {
  KDPC_ROUTINE(ZwEnumerateKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  const RegistryKey* subkey = registry::subkey_at(*key, Index);
  if (subkey == nullptr) return STATUS_NO_MORE_ENTRIES;
  return describe_key(*subkey, KeyInformationClass, KeyInformation, Length, *ResultLength);
}

NTSTATUS NTAPI ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                               PVOID KeyValueInformation, ULONG Length, PULONG ResultLength) {
  KDPC_ROUTINE(ZwQueryValueKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  const RegistryValue* value = registry::value_of(*key, view(*ValueName));
  if (value == nullptr) return STATUS_OBJECT_NAME_NOT_FOUND;
  return describe_value(*value, KeyValueInformationClass, KeyValueInformation, Length, *ResultLength);
}

NTSTATUS NTAPI ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass, PVOID KeyValueInformation,
                                   ULONG Length, PULONG ResultLength) {
  KDPC_ROUTINE(ZwEnumerateValueKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  RegistryValue* value = registry::value_at(*key, Index);
  if (value == nullptr) return STATUS_NO_MORE_ENTRIES;
  registry::note_read(*value);
  return describe_value(*value, KeyValueInformationClass, KeyValueInformation, Length, *ResultLength);
}

NTSTATUS NTAPI ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG, ULONG Type, PVOID Data, ULONG DataSize) {
  KDPC_ROUTINE(ZwSetValueKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  return registry::set(*key, view(*ValueName), Type, Data, DataSize) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName) {
  KDPC_ROUTINE(ZwDeleteValueKey);
  RegistryKey* key = nullptr;
  if (const NTSTATUS status = live_key(KeyHandle, key); !NT_SUCCESS(status)) return status;
  return registry::remove_value(*key, view(*ValueName)) ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI IoOpenDeviceRegistryKey(PDEVICE_OBJECT DeviceObject, ULONG, ACCESS_MASK, PHANDLE DeviceRegKey) {
  KDPC_ROUTINE(IoOpenDeviceRegistryKey);
  *DeviceRegKey = nullptr;
  KDPC_MAY_FAIL(IoOpenDeviceRegistryKey, STATUS_INSUFFICIENT_RESOURCES);
  // The device's own settings are those of the driver above it: scenarios give settings to drivers.
  const DEVICE_OBJECT* above = DeviceObject->AttachedDevice;
  const Driver& driver = driver_of(above != nullptr ? above : DeviceObject);
  if (!driver::is_loaded(driver)) return STATUS_INVALID_DEVICE_REQUEST;
  RegistryKey* key = registry::find(Name(view(driver.registry_path)).append(u"\\Parameters").view());
  return key != nullptr ? hand_out(key, DeviceRegKey, __builtin_return_address(0)) : STATUS_OBJECT_NAME_NOT_FOUND;
}

}  // extern "C"
