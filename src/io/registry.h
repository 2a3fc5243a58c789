// The registry: keys by their whole path, values by name. A driver's settings, as a scenario gives them, are the values of its service key and
// of that key's subkey Parameters; drivers look in one or the other.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "io/names.h"

namespace kdpc::io {

struct RegistryValue {
  RegistryValue* next;  // R
  UNICODE_STRING name;  // I
  ULONG type;           // I  REG_…
  ULONG size;           // I
  bool unread;          // R  a setting, and no driver has looked at it
  std::byte data[];     // I
};

// A name that was asked for, of no value of the key.
struct MissedName {
  MissedName* next;     // I
  UNICODE_STRING name;  // I
};

// A key that was deleted stays, so that handles to it can say so.
struct RegistryKey {
  RegistryKey* next;      // R
  UNICODE_STRING path;    // I
  RegistryValue* values;  // R  in the order in which they were set
  bool deleted;           // R
  MissedName* missed;     // R  newest first
  unsigned missed_count;  // R
};

// What a driver's handle stands for; the handle is its address with a mark.
struct RegistryHandle {
  RegistryHandle* next;  // R
  RegistryKey* key;      // I
};

namespace registry {

inline constexpr std::u16string_view kServices = u"\\Registry\\Machine\\System\\CurrentControlSet\\Services";
inline constexpr std::u16string_view kControl = u"\\Registry\\Machine\\System\\CurrentControlSet\\Control";
inline constexpr std::u16string_view kWindowsNt = u"\\Registry\\Machine\\Software\\Microsoft\\Windows NT\\CurrentVersion";
inline constexpr std::u16string_view kDeviceMap = u"\\Registry\\Machine\\Hardware\\DeviceMap";
inline constexpr std::u16string_view kUser = u"\\Registry\\User\\.Default";

// Null: no such key.
RegistryKey* find(std::u16string_view path);
// With all keys above it. Null: no memory, or the path is too long.
RegistryKey* make_key(std::u16string_view path);
// False: it has subkeys.
bool remove(RegistryKey& key);
// A value of this name is replaced. False: no memory.
bool set(RegistryKey& key, std::u16string_view name, ULONG type, const void* data, std::size_t size, bool unread = false);
// False: it has no such value.
bool remove_value(RegistryKey& key, std::u16string_view name);
void clear(RegistryKey& key);
// Passive. By a driver, which has read it then. Null: it has no such value, and that it was asked for is remembered.
const RegistryValue* value_of(RegistryKey& key, std::u16string_view name);
RegistryValue* value_at(const RegistryKey& key, ULONG index);
void note_read(RegistryValue& value);  // by a driver, that has not asked for it by name
// In the order of their names, as NT has them. Null: there are not so many.
const RegistryKey* subkey_at(const RegistryKey& key, ULONG index);
std::u16string_view name_of(const RegistryKey& key);  // without the path
std::u16string_view parent_of(std::u16string_view path);

// Passive. Null: no memory. `owner`: the driver's call.
HANDLE open(RegistryKey& key, const void* owner);
// Null: no open handle of a key.
RegistryKey* key_of(HANDLE handle);
// Passive. False: no open handle of a key.
bool close(std::uintptr_t handle);

// What became of a driver's settings. On the host, between steps.
struct SettingsUse {
  std::vector<std::string> unread;  // of `settings`, as they are written there
  std::vector<std::string> missed;  // names the driver has asked for, and was not given
};
SettingsUse use_of(std::string_view driver, const std::vector<std::string>& settings);

inline std::u16string_view text_of(PCWSTR text) {
  std::size_t length = 0;
  while (text != nullptr && text[length] != 0) ++length;
  return {text, length};
}

}  // namespace registry
}  // namespace kdpc::io
