#include "io/loader.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>
#include <sys/auxv.h>

#include <map>
#include <memory>

#include "io/pnp.h"
#include "io/registry.h"
#include "machine/host.h"
#include "this_machine.h"
#include "wdk/driver_image.h"
#include "wdk/routine.h"

namespace kdpc::io::loader {

namespace {

// An image of the process, with what is needed to begin anew.
struct Mapped {
  Image image;
  std::vector<WritableRange> writable;
  std::vector<PageableRange> pageable;
  std::vector<std::vector<std::byte>> pristine;  // the content of `writable` before any code of the driver ran
};

// The dynamic linker maps a file once per process, so this table lives as long as the process.
std::map<std::string, std::unique_ptr<Mapped>>& images() {
  static std::map<std::string, std::unique_ptr<Mapped>> table;
  return table;
}

const void* module_of(const void* address) {
  Dl_info info = {};
  return dladdr(address, &info) != 0 ? info.dli_fbase : nullptr;
}

// What drivers may call: routines of this library, and what the host program defines for them; never the C library's.
bool is_known(std::string_view name) {
  const void* symbol = dlsym(RTLD_DEFAULT, std::string(name).c_str());
  if (symbol == nullptr) return false;
  const void* module = module_of(symbol);
  return module == module_of(reinterpret_cast<const void*>(&is_known)) || module == module_of(reinterpret_cast<const void*>(getauxval(AT_PHDR)));
}

std::byte* at(std::uint64_t address) { return reinterpret_cast<std::byte*>(address); }

Result<Mapped*> map_new(const std::string& path) {
  auto described = read_driver_image(path, is_known);
  if (!described) return described.error();
  if (described->is_check_variant && !Machine::hears_accesses())
    return Error{fmt::format(
        "{}: is a check variant, which tells the simulated machine of every access to memory; this machine is live: give it the driver itself",
        path)};
  if (!described->missing_exports.empty()) return missing_exports_error(*described);
  // A path without a slash would be looked for among the system's libraries.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Error{fmt::format("{}: cannot be loaded: {}", path, dlerror())};
  link_map* linked = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &linked) != 0 || linked->l_addr != 0) {
    dlclose(handle);
    for (const auto& [other, known] : images())
      if (known->image.base == at(described->link_base))
        return Error{fmt::format(
            "{}: its place is taken by {}, which this process has loaded before; of a driver and its check variant a process can load one", path,
            other)};
    return Error{
        fmt::format("{}: was not loaded at {:#x}, where it was linked to be: something else in this process is there", path, described->link_base)};
  }
  auto mapped = std::make_unique<Mapped>();
  mapped->image = {path, at(described->link_base), described->size, reinterpret_cast<DRIVER_INITIALIZE*>(at(described->entry))};
  mapped->writable = described->writable;
  mapped->pageable = described->pageable;
  for (const WritableRange& range : mapped->writable) mapped->pristine.emplace_back(at(range.address), at(range.address) + range.size);
  Mapped* result = mapped.get();
  images()[path] = std::move(mapped);
  return result;
}

}  // namespace

Result<const Image*> map(const std::string& path) {
  Mapped* mapped = nullptr;
  if (const auto known = images().find(path); known != images().end()) {
    mapped = known->second.get();
    const auto* manager = static_cast<const Manager*>(sys().io_manager);
    for (const Driver* driver = manager != nullptr ? manager->drivers : nullptr; driver != nullptr; driver = driver->next)
      if (driver->object.DriverStart == mapped->image.base) return Error{fmt::format("{}: is loaded already", path)};
    for (std::size_t i = 0; i < mapped->writable.size(); ++i)
      std::memcpy(at(mapped->writable[i].address), mapped->pristine[i].data(), mapped->pristine[i].size());
  } else {
    auto created = map_new(path);
    if (!created) return created.error();
    mapped = *created;
  }
  for (const WritableRange& range : mapped->writable) host::add_span(at(range.address), range.size);
  for (const PageableRange& range : mapped->pageable) host::add_pageable(at(range.address), range.size, range.write, range.execute);
  return &mapped->image;
}

namespace {

void append(std::vector<std::byte>& to, const void* data, std::size_t size) {
  const auto* bytes = static_cast<const std::byte*>(data);
  to.insert(to.end(), bytes, bytes + size);
}

// With its terminator.
void append_text(std::vector<std::byte>& to, const std::string& text) {
  for (std::size_t i = 0; i <= text.size(); ++i) {  // the last one is the terminator
    const auto wide = static_cast<unsigned char>(text.c_str()[i]) < 0x80 ? static_cast<char16_t>(text.c_str()[i]) : u'?';
    append(to, &wide, sizeof wide);
  }
}

bool set_all(std::u16string_view path, const std::vector<StoredSetting>& settings) {
  RegistryKey* key = registry::make_key(path);
  if (key == nullptr) return false;
  registry::clear(*key);
  for (const StoredSetting& setting : settings) {
    const Name name(std::string_view(setting.name));
    const std::size_t slash = name.view().rfind(u'\\');
    RegistryKey* its = key;
    if (slash != std::u16string_view::npos) {
      const std::u16string_view folder = name.view().substr(0, slash);
      its = registry::make_key(folder.starts_with(u'\\') ? Name(folder).view() : Name(path).append(u"\\").append(folder).view());
    }
    if (name.too_long() || its == nullptr) return false;
    if (!registry::set(*its, name.view().substr(slash + 1), setting.type, setting.data.data(), setting.data.size(), true)) return false;
  }
  return true;
}

}  // namespace

std::vector<StoredSetting> stored(const std::vector<Setting>& settings) {
  std::vector<StoredSetting> all;
  for (const auto& [name, value] : settings) {
    StoredSetting& one = all.emplace_back(StoredSetting{name, REG_SZ, {}});
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
      one.type = *number <= MAXULONG ? REG_DWORD : REG_QWORD;
      append(one.data, number, one.type == REG_DWORD ? sizeof(ULONG) : sizeof *number);
    } else if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) {
      one.type = REG_MULTI_SZ;
      for (const std::string& text : *texts) append_text(one.data, text);
      append_text(one.data, "");
    } else {
      append_text(one.data, std::get<std::string>(value));
    }
  }
  return all;
}

NTSTATUS start(const Image& image, std::string_view name, const std::vector<StoredSetting>& settings, Driver*& driver) {
  driver = nullptr;
  const Name its_name(name);
  if (driver::find(its_name.view()) != nullptr) return STATUS_OBJECT_NAME_COLLISION;
  Driver* created = driver::create(its_name.view(), image.entry, image.base, image.size);
  if (created == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  const Name path(view(created->registry_path));
  if (!set_all(path.view(), settings) || !set_all(Name(path).append(u"\\Parameters").view(), settings)) {
    driver::destroy(*created);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  const NTSTATUS status = image.entry(&created->object, &created->registry_path);
  if (!NT_SUCCESS(status)) {
    while (DEVICE_OBJECT* left = created->object.DeviceObject) device::remove(left);  // DriverUnload is not called for it
    audit_driver(created->object);
    driver::destroy(*created);
    return status;
  }
  // Devices made in DriverEntry are ready now; those of AddDevice say so themselves.
  Guard guard;
  for (DEVICE_OBJECT* device = created->object.DeviceObject; device != nullptr; device = device->NextDevice)
    device->Flags &= ~static_cast<ULONG>(DO_DEVICE_INITIALIZING);
  driver = created;
  return status;
}

}  // namespace kdpc::io::loader
