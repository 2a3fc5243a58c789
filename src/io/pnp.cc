#include "io/pnp.h"

#include "io/registers.h"
#include "io/requests.h"
#include "io/resources.h"
#include "io/root_bus.h"
#include "kernel/dpc.h"
#include "this_machine.h"

namespace kdpc::io::pnp {

namespace {

Step failed(NTSTATUS status, const char* what) { return {status, what}; }

IoResult send_pnp(PhysicalDevice& device, UCHAR minor) {
  return requests::send(device.object, IRP_MJ_PNP, minor, STATUS_NOT_SUPPORTED, [&](IO_STACK_LOCATION& location) {
    if (minor != IRP_MN_START_DEVICE) return;
    location.Parameters.StartDevice.AllocatedResources = device.raw;
    location.Parameters.StartDevice.AllocatedResourcesTranslated = device.translated;
  });
}

// What the PnP manager asks a device after it has started; the answers change nothing here.
void ask_around(PhysicalDevice& device) {
  DEVICE_CAPABILITIES capabilities = {};
  capabilities.Size = sizeof capabilities;
  capabilities.Version = 1;
  capabilities.Address = capabilities.UINumber = 0xFFFFFFFF;
  requests::send(device.object, IRP_MJ_PNP, IRP_MN_QUERY_CAPABILITIES, STATUS_NOT_SUPPORTED,
                 [&](IO_STACK_LOCATION& location) { location.Parameters.DeviceCapabilities.Capabilities = &capabilities; });
  send_pnp(device, IRP_MN_QUERY_PNP_DEVICE_STATE);
  const IoResult relations = requests::send(device.object, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS, STATUS_NOT_SUPPORTED,
                                            [](IO_STACK_LOCATION& location) { location.Parameters.QueryDeviceRelations.Type = BusRelations; });
  if (relations.ok() && relations.information != 0) sys().pool.free(reinterpret_cast<void*>(relations.information));
}

void send_remove(PhysicalDevice& device) {
  send_pnp(device, IRP_MN_REMOVE_DEVICE);
  if (device.object->AttachedDevice == nullptr) return;
  remark("kdpc: after IRP_MN_REMOVE_DEVICE the driver's device object is still attached: IoDetachDevice is missing");
}

const char* step_of(UCHAR minor) {
  switch (minor) {
    case IRP_MN_START_DEVICE: return "IRP_MN_START_DEVICE";
    case IRP_MN_QUERY_REMOVE_DEVICE: return "IRP_MN_QUERY_REMOVE_DEVICE";
    default: return "a PnP request";
  }
}

bool is_inside(std::uintptr_t address, const DRIVER_OBJECT& image) {
  const auto start = reinterpret_cast<std::uintptr_t>(image.DriverStart);
  return address >= start && address - start < image.DriverSize;
}

bool is_open(const PhysicalDevice& device) {
  for (const DEVICE_OBJECT* object = device.object; object != nullptr; object = object->AttachedDevice)
    if (object->ReferenceCount != 0) return true;
  return false;
}

// Pool the driver asked for and has not given back: NT's Verifier stops for it, we say it.
void look_for_leaks(const DRIVER_OBJECT& image) {
  constexpr unsigned kMostSaid = 5;
  unsigned leaked = 0;
  sys().pool.for_each_live([&](const PoolBlock& block, const std::byte*) {
    if (!is_inside(block.caller, image) || ++leaked > kMostSaid) return;
    char tag[5] = {};
    std::memcpy(tag, &block.tag, 4);
    remark("kdpc: the driver is unloaded, but has not freed %llu bytes of pool with tag '%s'", static_cast<unsigned long long>(block.size), tag);
  });
  if (leaked > kMostSaid) remark("kdpc: … and %u more blocks of pool", leaked - kMostSaid);
}

// PNP-3 for interrupts: what NT would notice only when the next one comes.
void audit_interrupts(const DRIVER_OBJECT& image) {
  for (const unsigned number : active_processors())
    for (unsigned vector = 0; vector < 256; ++vector)
      for (const Interrupt* object = processor(number).vectors[vector]; object != nullptr; object = object->next) {
        const std::uintptr_t routine = object->spec.routine != nullptr ? reinterpret_cast<std::uintptr_t>(object->spec.routine)
                                                                       : reinterpret_cast<std::uintptr_t>(object->spec.message_routine);
        if (is_inside(routine, image))
          bug_check(stop::DriverUnloadedWithoutCancellingPendingOperations, {routine, 8, routine, as_parameter(object)},
                    "A driver is unloaded while its interrupt is still connected; NT stops when the next interrupt calls the routine that is gone.",
                    "PNP-3");
      }
}

}  // namespace

Step announce(const DeviceFacts& facts) {
  Driver* bus = root_bus::driver();
  auto* device = make<PhysicalDevice>();
  if (bus == nullptr || device == nullptr) return failed(STATUS_INSUFFICIENT_RESOURCES, "announcing the device");
  if (facts.registers.size() > PhysicalDevice::kMostRanges) return failed(STATUS_NOT_SUPPORTED, "a device with more than 8 register ranges");
  if (find(Name(facts.name).view()) != nullptr) return failed(STATUS_OBJECT_NAME_COLLISION, "a second device of this name");
  for (const RegisterRange& range : facts.registers) device->ranges[device->range_count++] = range;
  device->line = facts.line;
  device->vector = facts.vector;
  device->level = facts.level;
  device->shared = facts.shared;
  device->msi_x = facts.msi_x;
  device->message_count = static_cast<unsigned>(facts.messages.size());
  if (device->message_count != 0) {
    device->messages = make<std::uint8_t>(device->message_count);
    if (device->messages == nullptr) return failed(STATUS_INSUFFICIENT_RESOURCES, "announcing the device");
    std::memcpy(device->messages, facts.messages.data(), device->message_count);
  }
  device->arena = dma::arena_of(facts.dma);
  Name object_name(u"\\Device\\");
  object_name.append_hex(__atomic_fetch_add(&manager().next_device_name, 1, __ATOMIC_SEQ_CST), 8);
  if (!duplicate(device->name, Name(facts.name).view()) || !resources::build(*device))
    return failed(STATUS_INSUFFICIENT_RESOURCES, "announcing the device");
  const NTSTATUS status = device::create(*bus, 0, object_name.view(), FILE_DEVICE_CONTROLLER, FILE_AUTOGENERATED_DEVICE_NAME, false, device->object);
  if (!NT_SUCCESS(status)) return failed(status, "creating the physical device object");
  state_of(device->object).physical = device;
  device->object->Flags = (device->object->Flags & ~static_cast<ULONG>(DO_DEVICE_INITIALIZING)) | DO_BUS_ENUMERATED_DEVICE;
  return {};
}

PhysicalDevice* find(std::u16string_view name) {
  Driver* bus = driver::find(u"PnpManager");
  if (bus == nullptr) return nullptr;
  Guard guard;
  for (DEVICE_OBJECT* object = bus->object.DeviceObject; object != nullptr; object = object->NextDevice) {
    PhysicalDevice* device = state_of(object).physical;
    if (device != nullptr && equal(view(device->name), name)) return device;
  }
  return nullptr;
}

Step start(PhysicalDevice& device, Driver& driver) {
  if (device.state != PnpState::Announced) return failed(STATUS_INVALID_DEVICE_STATE, "starting a device that is started already or gone");
  if (driver.extension.AddDevice == nullptr)
    return failed(STATUS_INVALID_DEVICE_REQUEST, "a driver without AddDevice, which no PnP device can be given to");
  NTSTATUS status = driver.extension.AddDevice(&driver.object, device.object);
  if (!NT_SUCCESS(status)) return failed(status, "AddDevice");
  device.function_driver = &driver;
  if (device.object->AttachedDevice == nullptr) return failed(STATUS_NO_SUCH_DEVICE, "AddDevice, which attached no device object,");
  status = send_pnp(device, IRP_MN_START_DEVICE).status;
  if (!NT_SUCCESS(status)) {
    send_remove(device);
    device.function_driver = nullptr;
    return failed(status, step_of(IRP_MN_START_DEVICE));
  }
  device.state = PnpState::Started;
  ask_around(device);
  return {};
}

Step remove(PhysicalDevice& device) {
  if (device.state == PnpState::Gone) {
    send_remove(device);
    device.function_driver = nullptr;
    return {};
  }
  if (device.state != PnpState::Started) return failed(STATUS_INVALID_DEVICE_STATE, "removing a device that is not started");
  if (const NTSTATUS status = send_pnp(device, IRP_MN_QUERY_REMOVE_DEVICE).status; !NT_SUCCESS(status)) {
    send_pnp(device, IRP_MN_CANCEL_REMOVE_DEVICE);
    return failed(status, step_of(IRP_MN_QUERY_REMOVE_DEVICE));
  }
  if (is_open(device)) {
    send_pnp(device, IRP_MN_CANCEL_REMOVE_DEVICE);
    return failed(STATUS_DEVICE_BUSY, "removing a device that an application has open");
  }
  device.state = PnpState::Announced;
  send_remove(device);
  device.function_driver = nullptr;
  return {};
}

Step surprise_remove(PhysicalDevice& device) {
  if (device.state != PnpState::Started) return failed(STATUS_INVALID_DEVICE_STATE, "pulling out a device that is not started");
  for (unsigned range = 0; range < device.range_count; ++range) registers::pull_out(device.ranges[range]);
  device.state = PnpState::Gone;
  send_pnp(device, IRP_MN_SURPRISE_REMOVAL);
  // IRP_MN_REMOVE_DEVICE follows at once if nobody has it open, else when remove() is called after the last close.
  return is_open(device) ? Step{} : remove(device);
}

Step unload(Driver& driver) {
  if (driver.object.DriverUnload == nullptr) return failed(STATUS_INVALID_DEVICE_REQUEST, "unloading a driver without DriverUnload");
  if (Driver* bus = driver::find(u"PnpManager"))
    for (DEVICE_OBJECT* object = bus->object.DeviceObject; object != nullptr; object = object->NextDevice) {
      PhysicalDevice& device = *state_of(object).physical;
      if (device.function_driver != &driver) continue;
      if (const Step step = remove(device); !step.ok()) return step;
    }
  for (const DEVICE_OBJECT* device = driver.object.DeviceObject; device != nullptr; device = device->NextDevice)
    if (device->ReferenceCount != 0) return failed(STATUS_DEVICE_BUSY, "unloading a driver whose device is open");
  driver.object.DriverUnload(&driver.object);
  dpc::flush();
  audit_interrupts(driver.object);
  if (driver.object.DriverStart != nullptr) audit_range(driver.object.DriverStart, driver.object.DriverSize);
  while (DEVICE_OBJECT* left = driver.object.DeviceObject) {
    remark("kdpc: the driver was unloaded but has not deleted a device object");
    device::remove(left);
  }
  look_for_leaks(driver.object);
  driver::destroy(driver);
  return {};
}

}  // namespace kdpc::io::pnp
