#include "io/irp.h"
#include "io/objects.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io {

namespace {

NTSTATUS NTAPI refuse(DEVICE_OBJECT*, IRP* irp) {
  irp->IoStatus.Information = 0;
  return irp::complete(irp, STATUS_INVALID_DEVICE_REQUEST);
}

}  // namespace

namespace driver {

Driver* create(std::u16string_view name, DRIVER_INITIALIZE* entry, void* image, std::size_t size) {
  auto* driver = make<Driver>();
  if (driver == nullptr) return nullptr;
  DRIVER_OBJECT& object = driver->object;
  const Name path = Name(u"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\").append(name);
  if (!duplicate(object.DriverName, Name(u"\\Driver\\").append(name).view()) || !duplicate(driver->extension.ServiceKeyName, name) ||
      !duplicate(driver->registry_path, path.view())) {
    destroy(*driver);
    return nullptr;
  }
  object.Type = IO_TYPE_DRIVER;
  object.Size = sizeof(DRIVER_OBJECT);
  object.DriverStart = image;
  object.DriverSize = static_cast<ULONG>(size);
  object.DriverExtension = &driver->extension;
  object.DriverInit = entry;
  for (PDRIVER_DISPATCH& routine : object.MajorFunction) routine = refuse;
  driver->extension.DriverObject = &object;
  Guard guard;
  driver->next = manager().drivers;
  manager().drivers = driver;
  return driver;
}

void destroy(Driver& driver) {
  {
    Guard guard;
    for (Driver** slot = &manager().drivers; *slot != nullptr; slot = &(*slot)->next) {
      if (*slot != &driver) continue;
      *slot = driver.next;
      break;
    }
  }
  while (ClientExtension* extension = driver.client_extensions) {
    driver.client_extensions = extension->next;
    audit_range(extension->memory, extension->size);
    discard(extension);
  }
  release(driver.object.DriverName);
  release(driver.extension.ServiceKeyName);
  release(driver.registry_path);
  discard(&driver);
}

Driver* find(std::u16string_view name) {
  Guard guard;
  for (Driver* driver = manager().drivers; driver != nullptr; driver = driver->next)
    if (equal(view(driver->extension.ServiceKeyName), name)) return driver;
  return nullptr;
}

bool serves(std::string_view name, UCHAR major) {
  const Name wanted(name);
  const auto* root = static_cast<const Manager*>(sys().io_manager);
  for (const Driver* driver = root != nullptr ? root->drivers : nullptr; driver != nullptr; driver = driver->next)
    if (equal(view(driver->extension.ServiceKeyName), wanted.view())) return driver->object.MajorFunction[major] != refuse;
  return false;
}

bool is_loaded(const Driver& driver) {
  Guard guard;
  const Driver* known = manager().drivers;
  while (known != nullptr && known != &driver) known = known->next;
  return known != nullptr;
}

}  // namespace driver
}  // namespace kdpc::io

using namespace kdpc;
using namespace kdpc::io;

namespace {

Driver& as_driver(DRIVER_OBJECT* object) { return *reinterpret_cast<Driver*>(object); }

ClientExtension* find_extension(const Driver& driver, const void* client) {
  for (ClientExtension* extension = driver.client_extensions; extension != nullptr; extension = extension->next)
    if (extension->client == client) return extension;
  return nullptr;
}

}  // namespace

extern "C" {

NTSTATUS NTAPI IoAllocateDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress, ULONG DriverObjectExtensionSize,
                                               PVOID* DriverObjectExtension) {
  KDPC_ROUTINE(IoAllocateDriverObjectExtension);
  *DriverObjectExtension = nullptr;
  KDPC_MAY_FAIL(IoAllocateDriverObjectExtension, STATUS_INSUFFICIENT_RESOURCES);
  Driver& driver = as_driver(DriverObject);
  auto* created = make<ClientExtension>(sizeof(ClientExtension) + DriverObjectExtensionSize);
  if (created == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  created->client = ClientIdentificationAddress;
  created->size = DriverObjectExtensionSize;
  bool taken = false;
  {
    Guard guard;
    taken = find_extension(driver, ClientIdentificationAddress) != nullptr;
    if (!taken) {
      created->next = driver.client_extensions;
      driver.client_extensions = created;
    }
  }
  if (taken) {
    discard(created);
    return STATUS_OBJECT_NAME_COLLISION;
  }
  *DriverObjectExtension = created->memory;
  return STATUS_SUCCESS;
}

PVOID NTAPI IoGetDriverObjectExtension(PDRIVER_OBJECT DriverObject, PVOID ClientIdentificationAddress) {
  KDPC_ROUTINE(IoGetDriverObjectExtension);
  Guard guard;
  ClientExtension* extension = find_extension(as_driver(DriverObject), ClientIdentificationAddress);
  return extension != nullptr ? extension->memory : nullptr;
}

}  // extern "C"
