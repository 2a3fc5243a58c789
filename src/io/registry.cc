#include "io/registry.h"

#include "io/objects.h"
#include "wdk/letter_case.h"

namespace kdpc::io::registry {

namespace {

using wdk::upcase;

constexpr ULONG_PTR kHandleMark = 2;  // threads' handles are marked with 1
constexpr std::uint32_t kHandleTag = pool_tag("RegH");
constexpr unsigned kMostMissed = 64;  // of a key: a driver that asks for names without end is not helped by them

std::u16string_view trimmed(std::u16string_view path) {
  while (!path.empty() && path.back() == u'\\') path.remove_suffix(1);
  return path;
}

bool is_subkey(const RegistryKey& key, const RegistryKey& of) { return !key.deleted && equal(parent_of(view(key.path)), view(of.path)); }

// As NT sorts: without regard to case.
bool is_before(std::u16string_view left, std::u16string_view right) {
  const std::size_t common = left.size() < right.size() ? left.size() : right.size();
  for (std::size_t i = 0; i < common; ++i)
    if (upcase(left[i]) != upcase(right[i])) return upcase(left[i]) < upcase(right[i]);
  return left.size() < right.size();
}

// With the lock: takes a value out. Null: there is none.
RegistryValue* take_locked(RegistryKey& key, std::u16string_view name) {
  for (RegistryValue** slot = &key.values; *slot != nullptr; slot = &(*slot)->next) {
    if (!equal(view((*slot)->name), name)) continue;
    RegistryValue* taken = *slot;
    *slot = taken->next;
    return taken;
  }
  return nullptr;
}

void discard_value(RegistryValue* value) {
  if (value == nullptr) return;
  release(value->name);
  discard(value);
}

}  // namespace

std::u16string_view parent_of(std::u16string_view path) {
  path = trimmed(path);
  const std::size_t slash = path.rfind(u'\\');
  return slash == std::u16string_view::npos ? std::u16string_view() : path.substr(0, slash);
}

RegistryKey* find(std::u16string_view path) {
  Guard guard;
  for (RegistryKey* key = manager().registry_keys; key != nullptr; key = key->next)
    if (!key->deleted && equal(view(key->path), trimmed(path))) return key;
  return nullptr;
}

RegistryKey* make_key(std::u16string_view path) {
  path = trimmed(path);
  if (RegistryKey* existing = find(path)) return existing;
  if (const std::u16string_view above = parent_of(path); !above.empty() && make_key(above) == nullptr) return nullptr;
  auto* key = make<RegistryKey>();
  if (key == nullptr || !duplicate(key->path, path)) return nullptr;
  Guard guard;
  key->next = manager().registry_keys;
  return manager().registry_keys = key;
}

bool remove(RegistryKey& key) {
  {
    Guard guard;
    for (const RegistryKey* other = manager().registry_keys; other != nullptr; other = other->next)
      if (is_subkey(*other, key)) return false;
    key.deleted = true;
  }
  clear(key);
  return true;
}

bool set(RegistryKey& key, std::u16string_view name, ULONG type, const void* data, std::size_t size, bool unread) {
  auto* value = make<RegistryValue>(sizeof(RegistryValue) + size);
  if (value == nullptr || !duplicate(value->name, name)) return false;
  value->type = type;
  value->size = static_cast<ULONG>(size);
  value->unread = unread;
  if (size != 0) std::memcpy(value->data, data, size);
  RegistryValue* replaced = nullptr;
  {
    Guard guard;
    RegistryValue** slot = &key.values;
    while (*slot != nullptr && !equal(view((*slot)->name), name)) slot = &(*slot)->next;
    replaced = *slot;
    value->next = replaced != nullptr ? replaced->next : nullptr;
    *slot = value;
  }
  discard_value(replaced);
  return true;
}

bool remove_value(RegistryKey& key, std::u16string_view name) {
  RegistryValue* taken = nullptr;
  {
    Guard guard;
    taken = take_locked(key, name);
  }
  discard_value(taken);
  return taken != nullptr;
}

void clear(RegistryKey& key) {
  while (RegistryValue* value = key.values) {
    key.values = value->next;
    discard_value(value);
  }
}

const RegistryValue* value_of(RegistryKey& key, std::u16string_view name) {
  {
    Guard guard;
    for (RegistryValue* value = key.values; value != nullptr; value = value->next)
      if (equal(view(value->name), name)) {
        value->unread = false;
        return value;
      }
    if (key.missed_count >= kMostMissed) return nullptr;
    for (const MissedName* missed = key.missed; missed != nullptr; missed = missed->next)
      if (equal(view(missed->name), name)) return nullptr;
  }
  auto* missed = make<MissedName>();
  if (missed == nullptr) return nullptr;
  if (!duplicate(missed->name, name)) return discard(missed), nullptr;
  Guard guard;
  missed->next = key.missed;
  key.missed = missed;
  ++key.missed_count;
  return nullptr;
}

void note_read(RegistryValue& value) {
  Guard guard;
  value.unread = false;
}

RegistryValue* value_at(const RegistryKey& key, ULONG index) {
  Guard guard;
  RegistryValue* value = key.values;
  while (value != nullptr && index-- != 0) value = value->next;
  return value;
}

const RegistryKey* subkey_at(const RegistryKey& key, ULONG index) {
  Guard guard;
  const RegistryKey* last = nullptr;  // the one before
  for (ULONG rank = 0;; ++rank) {
    const RegistryKey* best = nullptr;
    for (const RegistryKey* other = manager().registry_keys; other != nullptr; other = other->next)
      if (is_subkey(*other, key) && (last == nullptr || is_before(name_of(*last), name_of(*other))) &&
          (best == nullptr || is_before(name_of(*other), name_of(*best))))
        best = other;
    if (best == nullptr || rank == index) return best;
    last = best;
  }
}

std::u16string_view name_of(const RegistryKey& key) {
  const std::u16string_view path = view(key.path);
  return path.substr(path.rfind(u'\\') + 1);
}

HANDLE open(RegistryKey& key, const void* owner) {
  auto* handle = make<RegistryHandle>(sizeof(RegistryHandle), kHandleTag, owner);
  if (handle == nullptr) return nullptr;
  handle->key = &key;
  Guard guard;
  handle->next = manager().registry_handles;
  manager().registry_handles = handle;
  return reinterpret_cast<HANDLE>(reinterpret_cast<ULONG_PTR>(handle) | kHandleMark);
}

RegistryKey* key_of(HANDLE handle) {
  const auto value = reinterpret_cast<ULONG_PTR>(handle);
  if ((value & 3) != kHandleMark) return nullptr;
  Guard guard;
  for (const RegistryHandle* one = manager().registry_handles; one != nullptr; one = one->next)
    if (reinterpret_cast<ULONG_PTR>(one) == (value & ~ULONG_PTR{3})) return one->key;
  return nullptr;
}

bool close(std::uintptr_t value) {
  if ((value & 3) != kHandleMark) return false;
  RegistryHandle* closed = nullptr;
  {
    Guard guard;
    for (RegistryHandle** slot = &manager().registry_handles; *slot != nullptr; slot = &(*slot)->next) {
      if (reinterpret_cast<std::uintptr_t>(*slot) != (value & ~std::uintptr_t{3})) continue;
      closed = *slot;
      *slot = closed->next;
      break;
    }
  }
  if (closed != nullptr) discard(closed, kHandleTag);
  return closed != nullptr;
}

}  // namespace kdpc::io::registry
