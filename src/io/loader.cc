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
#include "wdk/driver_image.h"
#include "wdk/routine.h"

namespace kdpc::io::loader {

namespace {

// An image of the process, with what is needed to begin anew.
struct Mapped {
  Image image;
  std::vector<WritableRange> writable;
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
  if (!described->missing_exports.empty()) return missing_exports_error(*described);
  // A path without a slash would be looked for among the system's libraries.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return Error{fmt::format("{}: cannot be loaded: {}", path, dlerror())};
  link_map* linked = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &linked) != 0 || linked->l_addr != 0) {
    dlclose(handle);
    return Error{
        fmt::format("{}: was not loaded at {:#x}, where it was linked to be: something else in this process is there", path, described->link_base)};
  }
  auto mapped = std::make_unique<Mapped>();
  mapped->image = {path, at(described->link_base), described->size, reinterpret_cast<DRIVER_INITIALIZE*>(at(described->entry))};
  mapped->writable = described->writable;
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
  return &mapped->image;
}

namespace {

bool set_all(RegistryKey* key, const std::vector<Setting>& settings) {
  if (key == nullptr) return false;
  registry::clear(*key);
  for (const Setting& setting : settings) {
    const Name name(setting.first);
    bool done = false;
    if (const auto* number = std::get_if<std::uint64_t>(&setting.second)) {
      const bool small = *number <= MAXULONG;
      done = registry::set(*key, name.view(), small ? REG_DWORD : REG_QWORD, number, small ? sizeof(ULONG) : sizeof *number);
    } else {
      const Name text(std::string_view(std::get<std::string>(setting.second)));
      char16_t terminated[Name::kRoom + 1] = {};
      std::memcpy(terminated, text.view().data(), text.view().size() * sizeof(char16_t));
      done = !text.too_long() && registry::set(*key, name.view(), REG_SZ, terminated, (text.view().size() + 1) * sizeof(char16_t));
    }
    if (!done) return false;
  }
  return true;
}

}  // namespace

NTSTATUS start(const Image& image, std::string_view name, const std::vector<Setting>& settings, Driver*& driver) {
  driver = nullptr;
  const Name its_name(name);
  if (driver::find(its_name.view()) != nullptr) return STATUS_OBJECT_NAME_COLLISION;
  Driver* created = driver::create(its_name.view(), image.entry, image.base, image.size);
  if (created == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  const Name path(view(created->registry_path));
  if (!set_all(registry::make_key(path.view()), settings) || !set_all(registry::make_key(Name(path).append(u"\\Parameters").view()), settings)) {
    driver::destroy(*created);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  const NTSTATUS status = image.entry(&created->object, &created->registry_path);
  if (!NT_SUCCESS(status)) {
    while (DEVICE_OBJECT* left = created->object.DeviceObject) device::remove(left);  // DriverUnload is not called for it
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
