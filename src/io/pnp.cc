#include "io/pnp.h"

#include <utility>

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
  ask_for_relations(device, BusRelations);
}

void set_removing(PhysicalDevice& device, bool removing) {
  Guard guard;
  device.removing = removing;
}

void send_remove(PhysicalDevice& device) {
  set_removing(device, true);
  send_pnp(device, IRP_MN_REMOVE_DEVICE);
  set_removing(device, false);
  if (device.object->AttachedDevice == nullptr) return;
  remark("kdpc: after IRP_MN_REMOVE_DEVICE the driver's device object is still attached: IoDetachDevice is missing");
}

const char* step_of(UCHAR minor) {
  switch (minor) {
    case IRP_MN_START_DEVICE: return "IRP_MN_START_DEVICE";
    case IRP_MN_QUERY_REMOVE_DEVICE: return "IRP_MN_QUERY_REMOVE_DEVICE";
    case IRP_MN_QUERY_STOP_DEVICE: return "IRP_MN_QUERY_STOP_DEVICE";
    default: return "a PnP request";
  }
}

bool is_open(const PhysicalDevice& device) {
  for (const DEVICE_OBJECT* object = device.object; object != nullptr; object = object->AttachedDevice)
    if (object->ReferenceCount != 0) return true;
  return false;
}

// Nobody has it open: from then on nobody can, until it has been removed.
bool close_for_removal(PhysicalDevice& device) {
  {
    Guard guard;
    device.removing = !is_open(device);
  }
  // It comes behind all that was done with the files.
  if (device.removing)
    for (const DEVICE_OBJECT* object = device.object; object != nullptr; object = object->AttachedDevice)
      Machine::observe(OrderAcquired{&state_of(object)});
  return device.removing;
}

// Sends the QUERY request `asks`. A refusal: `takes_back` follows at once.
NTSTATUS ask(PhysicalDevice& device, UCHAR asks, UCHAR takes_back) {
  const NTSTATUS status = send_pnp(device, asks).status;
  if (!NT_SUCCESS(status)) send_pnp(device, takes_back);
  return status;
}

Step ask_and_take_back(PhysicalDevice& device, UCHAR asks, UCHAR takes_back) {
  const Turn turn;
  if (device.state != PnpState::Started) return failed(STATUS_INVALID_DEVICE_STATE, "asking a device that is not started");
  const NTSTATUS status = ask(device, asks, takes_back);
  if (!NT_SUCCESS(status)) return failed(status, step_of(asks));
  send_pnp(device, takes_back);
  return {};
}

}  // namespace

namespace {

pnp::Errand* next_errand() {
  Guard guard;
  Errand* const next = manager().pnp_errands;
  if (next != nullptr) manager().pnp_errands = next->next;
  manager().pnp_works = next != nullptr;
  return next;
}

void KDPC_NTAPI do_errands(void*) {
  while (const Errand* const next = next_errand()) next->routine(next->context);
}

}  // namespace

void do_later(Errand& errand, WorkRoutine* routine, void* context) {
  errand = {nullptr, routine, context};
  {
    Guard guard;
    Errand** last = &manager().pnp_errands;
    while (*last != nullptr) last = &(*last)->next;
    *last = &errand;
    if (std::exchange(manager().pnp_works, true)) return;
  }
  work::initialize(manager().pnp_worker, do_errands, nullptr);
  work::queue(manager().pnp_worker, static_cast<std::uint32_t>(WorkQueue::Delayed));
}

Step announce(const DeviceFacts& facts) {
  const Turn turn;
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
  device->passive = facts.passive;
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

namespace {

Step restart(PhysicalDevice& device, const Driver& driver) {
  if (device.function_driver != &driver) return failed(STATUS_INVALID_DEVICE_STATE, "starting a stopped device with another driver");
  const NTSTATUS status = send_pnp(device, IRP_MN_START_DEVICE).status;
  if (NT_SUCCESS(status)) {
    device.state = PnpState::Started;
    return {};
  }
  device.state = PnpState::Announced;
  send_remove(device);
  device.function_driver = nullptr;
  return failed(status, step_of(IRP_MN_START_DEVICE));
}

}  // namespace

Step start(PhysicalDevice& device, Driver& driver) {
  const Turn turn;
  if (device.state == PnpState::Stopped) return restart(device, driver);
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

Step stop(PhysicalDevice& device) {
  const Turn turn;
  if (device.state != PnpState::Started) return failed(STATUS_INVALID_DEVICE_STATE, "stopping a device that is not started");
  if (const NTSTATUS status = ask(device, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE); !NT_SUCCESS(status))
    return failed(status, step_of(IRP_MN_QUERY_STOP_DEVICE));
  send_pnp(device, IRP_MN_STOP_DEVICE);
  device.state = PnpState::Stopped;
  return {};
}

Step ask_to_stop(PhysicalDevice& device) { return ask_and_take_back(device, IRP_MN_QUERY_STOP_DEVICE, IRP_MN_CANCEL_STOP_DEVICE); }
Step ask_to_remove(PhysicalDevice& device) { return ask_and_take_back(device, IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE); }

namespace {

constexpr const char* kIsOpen = "removing a device that an application has open";

Step remove_in_turn(PhysicalDevice& device) {
  if (device.state == PnpState::Gone) {
    if (device.function_driver == nullptr) return {};
    if (!close_for_removal(device)) return failed(STATUS_DEVICE_BUSY, kIsOpen);
    send_remove(device);
    device.function_driver = nullptr;
    return {};
  }
  if (device.state != PnpState::Started && device.state != PnpState::Stopped)
    return failed(STATUS_INVALID_DEVICE_STATE, "removing a device that is not started");
  if (const NTSTATUS status = ask(device, IRP_MN_QUERY_REMOVE_DEVICE, IRP_MN_CANCEL_REMOVE_DEVICE); !NT_SUCCESS(status))
    return failed(status, step_of(IRP_MN_QUERY_REMOVE_DEVICE));
  if (!close_for_removal(device)) {
    send_pnp(device, IRP_MN_CANCEL_REMOVE_DEVICE);
    return failed(STATUS_DEVICE_BUSY, kIsOpen);
  }
  device.state = PnpState::Announced;
  send_remove(device);
  device.function_driver = nullptr;
  return {};
}

void remove_without_asking(PhysicalDevice& device) {
  device.state = PnpState::Gone;
  send_pnp(device, IRP_MN_SURPRISE_REMOVAL);
  (void)remove_in_turn(device);  // or when the last file has been closed
}

Step surprise_remove_in_turn(PhysicalDevice& device) {
  if (device.state != PnpState::Started && device.state != PnpState::Stopped)
    return failed(STATUS_INVALID_DEVICE_STATE, "pulling out a device that is not started");
  for (unsigned range = 0; range < device.range_count; ++range) registers::pull_out(device.ranges[range]);
  remove_without_asking(device);
  return {};
}

}  // namespace

Step remove(PhysicalDevice& device) {
  const Turn turn;
  return remove_in_turn(device);
}

Step surprise_remove(PhysicalDevice& device) {
  const Turn turn;
  return surprise_remove_in_turn(device);
}

namespace {

void KDPC_NTAPI remove_closed(void* context) {
  auto& device = *static_cast<PhysicalDevice*>(context);
  const Turn turn;
  {
    Guard guard;
    device.closed = false;  // it may have been opened again
  }
  (void)remove_in_turn(device);
}

}  // namespace

void file_closed(PhysicalDevice& device) {
  {
    Guard guard;
    if (device.state != PnpState::Gone || device.function_driver == nullptr || device.closed || is_open(device)) return;
    device.closed = true;
  }
  do_later(device.last_act, remove_closed, &device);
}

void lose(PhysicalDevice& device) {
  const Turn turn;
  (void)surprise_remove_in_turn(device);
  device.state = PnpState::Gone;
}

void ask_for_state(PhysicalDevice& device) {
  const Turn turn;
  if (device.state != PnpState::Started) return;
  const IoResult answer = send_pnp(device, IRP_MN_QUERY_PNP_DEVICE_STATE);
  if (answer.ok() && (answer.information & (PNP_DEVICE_FAILED | PNP_DEVICE_REMOVED)) != 0) remove_without_asking(device);
}

void ask_for_relations(PhysicalDevice& device, DEVICE_RELATION_TYPE type) {
  const IoResult answer = requests::send(device.object, IRP_MJ_PNP, IRP_MN_QUERY_DEVICE_RELATIONS, STATUS_NOT_SUPPORTED,
                                         [type](IO_STACK_LOCATION& location) { location.Parameters.QueryDeviceRelations.Type = type; });
  if (!answer.ok() || answer.information == 0) return;
  auto* relations = reinterpret_cast<DEVICE_RELATIONS*>(answer.information);
  for (ULONG index = 0; index < relations->Count; ++index) device::dereference(relations->Objects[index]);
  sys().pool.free(relations);
}

Step unload(Driver& driver) {
  const Turn turn;
  if (driver.object.DriverUnload == nullptr) return failed(STATUS_INVALID_DEVICE_REQUEST, "unloading a driver without DriverUnload");
  if (Driver* bus = driver::find(u"PnpManager"))
    for (DEVICE_OBJECT* object = bus->object.DeviceObject; object != nullptr; object = object->NextDevice) {
      PhysicalDevice& device = *state_of(object).physical;
      if (device.function_driver != &driver) continue;
      if (const Step step = remove_in_turn(device); !step.ok()) return step;
    }
  for (const DEVICE_OBJECT* device = driver.object.DeviceObject; device != nullptr; device = device->NextDevice)
    if (device->ReferenceCount != 0) return failed(STATUS_DEVICE_BUSY, "unloading a driver whose device is open");
  driver.object.DriverUnload(&driver.object);
  dpc::flush();
  audit_driver(driver.object);
  if (driver.object.DriverStart != nullptr) Machine::observe(ImageUnloading{driver.object.DriverStart, driver.object.DriverSize});
  while (DEVICE_OBJECT* left = driver.object.DeviceObject) device::remove(left);
  driver::destroy(driver);
  return {};
}

}  // namespace kdpc::io::pnp
