// The registry: keys by their whole path, values by name. A driver's settings, as a scenario gives them, are the values of its service key and
// of that key's subkey Parameters; drivers look in one or the other.
#pragma once
#include "io/names.h"

namespace kdpc::io {

struct RegistryValue {
  RegistryValue* next;  // R
  UNICODE_STRING name;  // I
  ULONG type;           // I  REG_…
  ULONG size;           // I
  std::byte data[];     // I
};

// Keys stay for the whole run, so a handle to one is its address.
struct RegistryKey {
  RegistryKey* next;      // R
  UNICODE_STRING path;    // I
  RegistryValue* values;  // R  in the order in which they were set
};

namespace registry {

// Null: no such key.
RegistryKey* find(std::u16string_view path);
// Null: no memory, or the path is too long.
RegistryKey* make_key(std::u16string_view path);
bool set(RegistryKey& key, std::u16string_view name, ULONG type, const void* data, std::size_t size);
void clear(RegistryKey& key);
// Null: it has no such value.
const RegistryValue* value_of(const RegistryKey& key, std::u16string_view name);

// Passive. False: no open handle of a key.
bool close(std::uintptr_t handle);

}  // namespace registry
}  // namespace kdpc::io
