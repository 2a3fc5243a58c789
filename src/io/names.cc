#include "io/names.h"

#include <algorithm>

#include "io/objects.h"
#include "wdk/letter_case.h"

namespace kdpc::io {

namespace {

constexpr int kMostLinks = 16;  // a chain longer than this is a circle

Name canonical(std::u16string_view name) {
  static constexpr std::u16string_view kPrefixes[] = {u"\\DosDevices\\", u"\\GLOBAL??\\", u"\\\\.\\", u"\\\\?\\"};
  while (name.size() > 1 && name.back() == u'\\') name.remove_suffix(1);
  for (const std::u16string_view prefix : kPrefixes)
    if (begins_with(name, prefix)) return Name(u"\\??\\").append(name.substr(prefix.size()));
  return Name(name);
}

// With the lock: the entry that is `name`, or the longest that is it or whole components of its beginning.
NameEntry* find_entry(std::u16string_view name, bool exact) {
  NameEntry* best = nullptr;
  for (NameEntry* entry = manager().names; entry != nullptr; entry = entry->next) {
    const std::u16string_view its = view(entry->name);
    const bool fits = exact ? equal(name, its) : begins_with(name, its) && (name.size() == its.size() || name[its.size()] == u'\\');
    if (fits && (best == nullptr || its.size() > view(best->name).size())) best = entry;
  }
  return best;
}

void free_entry(NameEntry* entry) {
  release(entry->name);
  release(entry->target);
  discard(entry);
}

NTSTATUS add(std::u16string_view name, DEVICE_OBJECT* device, std::u16string_view target) {
  if (name.empty() || name.front() != u'\\') return STATUS_OBJECT_PATH_SYNTAX_BAD;
  const Name its_name = canonical(name), its_target = canonical(target);
  if (its_name.too_long() || its_target.too_long()) return STATUS_NAME_TOO_LONG;
  auto* entry = make<NameEntry>();
  if (entry == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  if (!duplicate(entry->name, its_name.view()) || (device == nullptr && !duplicate(entry->target, its_target.view()))) {
    free_entry(entry);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  entry->device = device;
  bool taken = false;
  {
    Guard guard;
    taken = find_entry(its_name.view(), true) != nullptr;
    if (!taken) {
      entry->next = manager().names;
      manager().names = entry;
    }
  }
  if (!taken) return STATUS_SUCCESS;
  free_entry(entry);
  return STATUS_OBJECT_NAME_COLLISION;
}

template <class Condition>
bool remove_if(Condition condition) {
  NameEntry* removed = nullptr;
  {
    Guard guard;
    for (NameEntry** slot = &manager().names; *slot != nullptr; slot = &(*slot)->next) {
      if (!condition(**slot)) continue;
      removed = *slot;
      *slot = removed->next;
      break;
    }
  }
  if (removed != nullptr) free_entry(removed);
  return removed != nullptr;
}

}  // namespace

Name& Name::append(std::u16string_view text) {
  too_long_ = too_long_ || length_ + text.size() > kRoom;
  for (const char16_t character : text)
    if (length_ < kRoom) text_[length_++] = character;
  return *this;
}

Name& Name::append(std::string_view text) {
  for (const char character : text) {
    const char16_t wide = static_cast<unsigned char>(character) < 0x80 ? static_cast<char16_t>(character) : u'?';
    append(std::u16string_view(&wide, 1));
  }
  return *this;
}

Name& Name::append_hex(std::uint64_t number, unsigned digits) {
  for (unsigned place = digits; place-- > 0;) append(std::u16string_view(&u"0123456789abcdef"[(number >> (4 * place)) & 15], 1));
  return *this;
}

bool duplicate(UNICODE_STRING& to, std::u16string_view text, std::uint32_t tag, const void* owner) {
  to = {};
  const std::size_t bytes = text.size() * sizeof(WCHAR);
  if (bytes + sizeof(WCHAR) > 0xFFFF) return false;
  to.Buffer = make<WCHAR>(bytes + sizeof(WCHAR), tag, owner);
  if (to.Buffer == nullptr) return false;
  if (bytes != 0) std::memcpy(to.Buffer, text.data(), bytes);
  to.Length = static_cast<USHORT>(bytes);
  to.MaximumLength = static_cast<USHORT>(bytes + sizeof(WCHAR));
  return true;
}

void release(UNICODE_STRING& string) {
  if (string.Buffer != nullptr) discard(string.Buffer, 0);
  string = {};
}

bool equal(std::u16string_view left, std::u16string_view right) {
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(), [](char16_t a, char16_t b) { return wdk::upcase(a) == wdk::upcase(b); });
}

bool begins_with(std::u16string_view text, std::u16string_view prefix) {
  return text.size() >= prefix.size() && equal(text.substr(0, prefix.size()), prefix);
}

namespace names {

NTSTATUS add_device(std::u16string_view name, DEVICE_OBJECT* device) { return add(name, device, {}); }
NTSTATUS add_link(std::u16string_view name, std::u16string_view target) { return add(name, nullptr, target); }

bool remove_link(std::u16string_view name) {
  const Name wanted = canonical(name);
  return remove_if([&](const NameEntry& entry) { return entry.device == nullptr && equal(view(entry.name), wanted.view()); });
}

void remove_device(DEVICE_OBJECT* device) {
  while (remove_if([&](const NameEntry& entry) { return entry.device == device; })) {
  }
}

NTSTATUS open(std::u16string_view name, Name& rest, DEVICE_OBJECT*& device) {
  Name wanted = canonical(name);
  for (int links = 0; links < kMostLinks; ++links) {
    Guard guard;
    const NameEntry* entry = find_entry(wanted.view(), false);
    if (entry == nullptr) break;
    rest = Name(wanted.view().substr(view(entry->name).size()));
    if (entry->device != nullptr) return device::count_open_locked(device = entry->device);
    wanted = Name(view(entry->target)).append(rest.view());
  }
  return STATUS_OBJECT_NAME_NOT_FOUND;
}

Name name_of(const DEVICE_OBJECT* device) {
  Guard guard;
  for (const NameEntry* entry = manager().names; entry != nullptr; entry = entry->next)
    if (entry->device == device) return Name(view(entry->name));
  return {};
}

namespace {

std::string narrow(std::u16string_view text) {
  std::string result;
  for (const char16_t character : text) result += character < 0x80 ? static_cast<char>(character) : '?';
  return result;
}

bool belongs_to(const DEVICE_OBJECT* device, std::u16string_view driver) { return equal(view(driver_of(device).extension.ServiceKeyName), driver); }

}  // namespace

std::vector<std::string> of_driver(std::string_view driver) {
  const Name wanted(driver);
  std::vector<std::string> found;
  const auto* root = static_cast<const Manager*>(sys().io_manager);
  if (root == nullptr) return found;
  for (const NameEntry* entry = root->names; entry != nullptr; entry = entry->next)
    if (entry->device != nullptr && belongs_to(entry->device, wanted.view())) found.push_back(narrow(view(entry->name)));
  for (const NameEntry* entry = root->names; entry != nullptr; entry = entry->next) {
    if (entry->device != nullptr) continue;
    for (const NameEntry* target = root->names; target != nullptr; target = target->next)
      if (target->device != nullptr && target->device->AttachedDevice != nullptr && equal(view(target->name), view(entry->target)) &&
          belongs_to(target->device->AttachedDevice, wanted.view()))
        found.push_back(narrow(view(entry->name)));
  }
  return found;
}

}  // namespace names
}  // namespace kdpc::io
