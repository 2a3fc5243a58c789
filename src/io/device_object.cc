#include "io/device_timer.h"
#include "io/objects.h"
#include "io/pnp.h"
#include "this_machine.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io::device {

namespace {

constexpr std::size_t kAlignment = 16;
constexpr std::size_t rounded(std::size_t size) { return (size + kAlignment - 1) & ~(kAlignment - 1); }

void link(Driver& driver, DEVICE_OBJECT* device) {
  Guard guard;
  device->NextDevice = driver.object.DeviceObject;
  driver.object.DeviceObject = device;
}

void unlink(Driver& driver, DEVICE_OBJECT* device) {
  Guard guard;
  for (DEVICE_OBJECT** slot = &driver.object.DeviceObject; *slot != nullptr; slot = &(*slot)->NextDevice) {
    if (*slot != device) continue;
    *slot = device->NextDevice;
    return;
  }
}

// It is no longer in any list, and nobody refers to it.
void destroy(DEVICE_OBJECT* device) {
  const std::size_t size = device->Size;
  audit_range(device, size);
  device->Type = 0;
  discard(device);
}

bool is_unused(const DEVICE_OBJECT* device) {
  const DeviceState& state = state_of(device);
  return state.delete_pending && state.references == 0 && device->ReferenceCount == 0 && device->AttachedDevice == nullptr;
}

// Runs `change` under the lock; frees the device if it was the last thing that kept it. Whoever frees it comes after all who have kept it.
template <class Change>
void release(DEVICE_OBJECT* device, Change change) {
  const DeviceState* const state = &state_of(device);
  Machine::observe(OrderReleased{state});
  bool unused = false;
  {
    Guard guard;
    change();
    unused = is_unused(device);
  }
  if (!unused) return;
  Machine::observe(OrderAcquired{state});
  destroy(device);
}

}  // namespace

NTSTATUS create(Driver& driver, std::size_t extension_size, std::u16string_view name, DEVICE_TYPE type, ULONG characteristics, bool exclusive,
                DEVICE_OBJECT*& created) {
  created = nullptr;
  const std::size_t visible = sizeof(DEVICE_OBJECT) + rounded(extension_size);
  if (visible > 0xFFFF) return STATUS_INVALID_PARAMETER;  // DEVICE_OBJECT::Size has 16 bits
  auto* device = make<DEVICE_OBJECT>(visible + sizeof(DeviceState));
  if (device == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  auto* state = reinterpret_cast<DeviceState*>(reinterpret_cast<std::byte*>(device) + visible);
  device->Type = IO_TYPE_DEVICE;
  device->Size = static_cast<USHORT>(sizeof(DEVICE_OBJECT) + extension_size);
  device->DriverObject = &driver.object;
  device->Flags = DO_DEVICE_INITIALIZING | (exclusive ? DO_EXCLUSIVE : 0u) | (name.empty() ? 0u : DO_DEVICE_HAS_NAME);
  device->Characteristics = characteristics;
  device->DeviceExtension = extension_size != 0 ? device + 1 : nullptr;
  device->DeviceType = type;
  device->StackSize = 1;
  device->DeviceQueue.Type = 20;  // KOBJECTS DeviceQueueObject
  device->DeviceQueue.Size = sizeof(KDEVICE_QUEUE);
  device->DeviceQueue.DeviceListHead.Flink = device->DeviceQueue.DeviceListHead.Blink = &device->DeviceQueue.DeviceListHead;
  wait::initialize_event(wdk::as_event(&device->DeviceLock), ObjectType::SynchronizationEvent, true);
  device->DeviceObjectExtension = &state->header;
  state->header.Type = 13;  // IO_TYPE_DEVICE_OBJECT_EXTENSION
  state->header.Size = sizeof(DeviceState);
  state->header.DeviceObject = device;
  state->power_state.DeviceState = PowerDeviceD0;
  if (!name.empty()) {
    if (const NTSTATUS status = names::add_device(name, device); !NT_SUCCESS(status)) {
      discard(device);
      return status;
    }
  }
  link(driver, device);
  created = device;
  return STATUS_SUCCESS;
}

void remove(DEVICE_OBJECT* device) {
  device_timer::remove(device);
  names::remove_device(device);
  unlink(driver_of(device), device);
  if (device->AttachedDevice != nullptr) remark("kdpc: a device object is being deleted while another device is attached above it");
  release(device, [&] { state_of(device).delete_pending = true; });
}

std::uint32_t reference(DEVICE_OBJECT* device) {
  Guard guard;
  return ++state_of(device).references;
}

std::uint32_t dereference(DEVICE_OBJECT* device) {
  std::uint32_t left = 0;
  release(device, [&] { left = --state_of(device).references; });
  return left;
}

DEVICE_OBJECT* top_of(DEVICE_OBJECT* device) {
  while (device->AttachedDevice != nullptr) device = device->AttachedDevice;
  return device;
}

namespace {

PhysicalDevice* physical_below(const DEVICE_OBJECT* device) {
  while (state_of(device).attached_to != nullptr) device = state_of(device).attached_to;
  return state_of(device).physical;
}

}  // namespace

NTSTATUS count_open_locked(DEVICE_OBJECT* device) {
  if (state_of(device).delete_pending || ((device->Flags | top_of(device)->Flags) & DO_DEVICE_INITIALIZING) != 0) return STATUS_NO_SUCH_DEVICE;
  if (const PhysicalDevice* physical = physical_below(device); physical != nullptr && physical->removing) return STATUS_NO_SUCH_DEVICE;
  if ((device->Flags & DO_EXCLUSIVE) != 0 && device->ReferenceCount != 0) return STATUS_ACCESS_DENIED;
  ++device->ReferenceCount;
  return STATUS_SUCCESS;
}

void count_close(DEVICE_OBJECT* device) {
  PhysicalDevice* physical = nullptr;
  release(device, [&] {
    --device->ReferenceCount;
    physical = physical_below(device);
  });
  if (physical != nullptr) pnp::file_closed(*physical);
}

}  // namespace kdpc::io::device

using namespace kdpc;
using namespace kdpc::io;

namespace {

constexpr unsigned kAutomaticDigits = 8;

// Puts `source` above everything on `target`.
NTSTATUS attach(DEVICE_OBJECT* source, DEVICE_OBJECT* target, DEVICE_OBJECT** attached_to) {
  Guard guard;
  DEVICE_OBJECT* top = device::top_of(target);
  if (device::top_of(source) == top) return STATUS_NO_SUCH_DEVICE;  // it is in that stack already: a circle would have no top
  if (state_of(top).delete_pending || (top->Flags & DO_DEVICE_INITIALIZING) != 0) return STATUS_NO_SUCH_DEVICE;
  *attached_to = top;  // before anything can come down the stack
  top->AttachedDevice = source;
  state_of(source).attached_to = top;
  source->StackSize = static_cast<CCHAR>(top->StackSize + 1);
  source->AlignmentRequirement = top->AlignmentRequirement;
  source->SectorSize = top->SectorSize;
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

NTSTATUS NTAPI IoCreateDevice(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName, DEVICE_TYPE DeviceType,
                              ULONG DeviceCharacteristics, BOOLEAN Exclusive, PDEVICE_OBJECT* DeviceObject) {
  KDPC_ROUTINE(IoCreateDevice);
  KDPC_MAY_FAIL(IoCreateDevice, STATUS_INSUFFICIENT_RESOURCES);
  Name name;
  if (DeviceName != nullptr) {
    name.append(view(*DeviceName));
  } else if ((DeviceCharacteristics & FILE_AUTOGENERATED_DEVICE_NAME) != 0) {
    name.append(u"\\Device\\").append_hex(__atomic_fetch_add(&manager().next_device_name, 1, __ATOMIC_SEQ_CST), kAutomaticDigits);
  }
  return device::create(*reinterpret_cast<Driver*>(DriverObject), DeviceExtensionSize, name.view(), DeviceType, DeviceCharacteristics, Exclusive != 0,
                        *DeviceObject);
}

// Who may open the device is not modelled: the security descriptor must be there, as Windows asks, and changes nothing.
NTSTATUS NTAPI WdmlibIoCreateDeviceSecure(PDRIVER_OBJECT DriverObject, ULONG DeviceExtensionSize, PUNICODE_STRING DeviceName, DEVICE_TYPE DeviceType,
                                          ULONG DeviceCharacteristics, BOOLEAN Exclusive, PCUNICODE_STRING DefaultSDDLString, LPCGUID,
                                          PDEVICE_OBJECT* DeviceObject) {
  KDPC_ROUTINE(WdmlibIoCreateDeviceSecure);
  if (DefaultSDDLString == nullptr) return STATUS_INVALID_PARAMETER;
  if (DeviceName == nullptr && (DeviceCharacteristics & FILE_AUTOGENERATED_DEVICE_NAME) == 0) return STATUS_INVALID_PARAMETER;
  return IoCreateDevice(DriverObject, DeviceExtensionSize, DeviceName, DeviceType, DeviceCharacteristics, Exclusive, DeviceObject);
}

VOID NTAPI IoDeleteDevice(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE_ON(IoDeleteDevice, DeviceObject);
  device::remove(DeviceObject);
}

PDEVICE_OBJECT NTAPI IoAttachDeviceToDeviceStack(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice) {
  KDPC_ROUTINE(IoAttachDeviceToDeviceStack);
  PDEVICE_OBJECT below = nullptr;
  return NT_SUCCESS(attach(SourceDevice, TargetDevice, &below)) ? below : nullptr;
}

NTSTATUS NTAPI IoAttachDeviceToDeviceStackSafe(PDEVICE_OBJECT SourceDevice, PDEVICE_OBJECT TargetDevice, PDEVICE_OBJECT* AttachedToDeviceObject) {
  KDPC_ROUTINE(IoAttachDeviceToDeviceStackSafe);
  return attach(SourceDevice, TargetDevice, AttachedToDeviceObject);
}

VOID NTAPI IoDetachDevice(PDEVICE_OBJECT TargetDevice) {
  KDPC_ROUTINE(IoDetachDevice);
  device::release(TargetDevice, [&] {
    DEVICE_OBJECT* above = TargetDevice->AttachedDevice;
    if (above != nullptr) state_of(above).attached_to = nullptr;
    TargetDevice->AttachedDevice = nullptr;
  });
}

PDEVICE_OBJECT NTAPI IoGetAttachedDeviceReference(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE(IoGetAttachedDeviceReference);
  Guard guard;
  DEVICE_OBJECT* top = device::top_of(DeviceObject);
  ++state_of(top).references;
  return top;
}

PDEVICE_OBJECT NTAPI IoGetAttachedDevice(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE(IoGetAttachedDevice);
  Guard guard;
  return device::top_of(DeviceObject);
}

NTSTATUS NTAPI IoAttachDevice(PDEVICE_OBJECT SourceDevice, PUNICODE_STRING TargetDevice, PDEVICE_OBJECT* AttachedDevice) {
  KDPC_ROUTINE(IoAttachDevice);
  PFILE_OBJECT file = nullptr;
  PDEVICE_OBJECT target = nullptr;
  *AttachedDevice = nullptr;
  NTSTATUS status = IoGetDeviceObjectPointer(TargetDevice, FILE_READ_ATTRIBUTES, &file, &target);
  if (!NT_SUCCESS(status)) return status;
  status = attach(SourceDevice, target, AttachedDevice);
  ObDereferenceObject(file);
  return status;
}

NTSTATUS NTAPI IoCreateSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName) {
  KDPC_ROUTINE(IoCreateSymbolicLink);
  KDPC_MAY_FAIL(IoCreateSymbolicLink, STATUS_INSUFFICIENT_RESOURCES);
  return names::add_link(view(*SymbolicLinkName), view(*DeviceName));
}

NTSTATUS NTAPI IoDeleteSymbolicLink(PUNICODE_STRING SymbolicLinkName) {
  KDPC_ROUTINE(IoDeleteSymbolicLink);
  return names::remove_link(view(*SymbolicLinkName)) ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}

NTSTATUS NTAPI IoCreateUnprotectedSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName) {
  KDPC_ROUTINE(IoCreateUnprotectedSymbolicLink);
  return names::add_link(view(*SymbolicLinkName), view(*DeviceName));
}

NTSTATUS NTAPI IoRegisterDeviceInterface(PDEVICE_OBJECT PhysicalDeviceObject, const GUID* InterfaceClassGuid, PUNICODE_STRING ReferenceString,
                                         PUNICODE_STRING SymbolicLinkName) {
  KDPC_ROUTINE(IoRegisterDeviceInterface);
  KDPC_MAY_FAIL(IoRegisterDeviceInterface, STATUS_INSUFFICIENT_RESOURCES);
  if (state_of(PhysicalDeviceObject).physical == nullptr) return STATUS_INVALID_DEVICE_REQUEST;
  // \??\ROOT#<number of the device>#{class}[\reference]: unique, and the same in every run.
  const Name device_name = names::name_of(PhysicalDeviceObject);
  Name name(u"\\??\\ROOT#");
  name.append(device_name.view().substr(device_name.view().rfind(u'\\') + 1)).append(u"#{");
  name.append_hex(InterfaceClassGuid->Data1, 8).append(u"-").append_hex(InterfaceClassGuid->Data2, 4).append(u"-");
  name.append_hex(InterfaceClassGuid->Data3, 4).append(u"-");
  for (int i = 0; i < 8; ++i) {
    if (i == 2) name.append(u"-");
    name.append_hex(InterfaceClassGuid->Data4[i], 2);
  }
  name.append(u"}");
  if (ReferenceString != nullptr && ReferenceString->Length != 0) name.append(u"\\").append(view(*ReferenceString));
  if (name.too_long()) return STATUS_NAME_TOO_LONG;
  const bool done = duplicate(*SymbolicLinkName, name.view(), kRtlStringTag, __builtin_return_address(0));  // freed by RtlFreeUnicodeString
  return done ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI IoSetDeviceInterfaceState(PUNICODE_STRING SymbolicLinkName, BOOLEAN Enable) {
  KDPC_ROUTINE(IoSetDeviceInterfaceState);
  const std::u16string_view link = view(*SymbolicLinkName);
  if (Enable == 0) return names::remove_link(link) ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
  constexpr std::u16string_view kPrefix = u"\\??\\ROOT#";
  if (!begins_with(link, kPrefix)) return STATUS_OBJECT_NAME_NOT_FOUND;
  const std::u16string_view number = link.substr(kPrefix.size(), link.find(u'#', kPrefix.size()) - kPrefix.size());
  const NTSTATUS status = names::add_link(link, Name(u"\\Device\\").append(number).view());
  return status == STATUS_OBJECT_NAME_COLLISION ? STATUS_OBJECT_NAME_EXISTS : status;
}

}  // extern "C"
