// Which settings of a driver were in vain. On the host, between steps, where nobody holds the lock.
#include "io/objects.h"
#include "io/registry.h"

namespace kdpc::io::registry {

namespace {

std::string narrow(std::u16string_view wide) {
  std::string text;
  for (const char16_t each : wide) text += each < 0x80 ? static_cast<char>(each) : '?';
  return text;
}

const RegistryKey* find_on_host(std::u16string_view path) {
  const auto* root = static_cast<const Manager*>(sys().io_manager);
  for (const RegistryKey* key = root != nullptr ? root->registry_keys : nullptr; key != nullptr; key = key->next)
    if (!key->deleted && equal(view(key->path), path)) return key;
  return nullptr;
}

// A value that is not there any more was removed by somebody who knew of it.
bool is_unread(std::u16string_view path, std::u16string_view name) {
  const RegistryKey* const key = find_on_host(path);
  for (const RegistryValue* value = key != nullptr ? key->values : nullptr; value != nullptr; value = value->next)
    if (equal(view(value->name), name)) return value->unread;
  return false;
}

}  // namespace

// A setting stands in the service's key and in Parameters: one of them is enough.
SettingsUse use_of(std::string_view driver, const std::vector<std::string>& settings) {
  SettingsUse use;
  const Name service = Name(kServices).append(u"\\").append(Name(driver).view());
  const Name parameters = Name(service).append(u"\\Parameters");
  for (const std::string& setting : settings) {
    const Name whole{std::string_view(setting)};
    const std::size_t slash = whole.view().rfind(u'\\');
    const std::u16string_view folder = slash == std::u16string_view::npos ? std::u16string_view() : whole.view().substr(0, slash);
    const std::u16string_view name = whole.view().substr(slash + 1);
    const auto below = [&](const Name& key) { return folder.empty() ? Name(key) : Name(key).append(u"\\").append(folder); };
    const bool unread =
        folder.starts_with(u'\\') ? is_unread(folder, name) : is_unread(below(service).view(), name) && is_unread(below(parameters).view(), name);
    if (unread) use.unread.push_back(setting);
  }
  for (const Name* const path : {&service, &parameters})
    if (const RegistryKey* const key = find_on_host(path->view()))
      for (const MissedName* missed = key->missed; missed != nullptr; missed = missed->next) use.missed.push_back(narrow(view(missed->name)));
  return use;
}

}  // namespace kdpc::io::registry
