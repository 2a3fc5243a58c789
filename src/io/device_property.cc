// IoGetDeviceProperty: what the system knows of a device on its bus. Devices have no INF file here, so what one would say is not found.
#include "io/pnp.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

// Gives `size` bytes, if there is room for them.
NTSTATUS give(const void* content, std::size_t size, void* out, ULONG room, ULONG& needed) {
  needed = static_cast<ULONG>(size);
  if (room < size) return STATUS_BUFFER_TOO_SMALL;
  std::memcpy(out, content, size);
  return STATUS_SUCCESS;
}

// `zeros`: one ends a text, a second one a list of them.
NTSTATUS give_text(const Name& text, unsigned zeros, void* out, ULONG room, ULONG& needed) {
  char16_t buffer[Name::kRoom + 2] = {};
  std::memcpy(buffer, text.view().data(), text.view().size() * sizeof(char16_t));
  return give(buffer, (text.view().size() + zeros) * sizeof(char16_t), out, room, needed);
}

NTSTATUS give_number(ULONG number, void* out, ULONG room, ULONG& needed) { return give(&number, sizeof number, out, room, needed); }

NTSTATUS give_resources(const CM_RESOURCE_LIST& list, void* out, ULONG room, ULONG& needed) {
  const CM_PARTIAL_RESOURCE_LIST& partial = list.List[0].PartialResourceList;
  const auto* end = reinterpret_cast<const std::byte*>(partial.PartialDescriptors + partial.Count);
  return give(&list, static_cast<std::size_t>(end - reinterpret_cast<const std::byte*>(&list)), out, room, needed);
}

}  // namespace

extern "C" NTSTATUS NTAPI IoGetDeviceProperty(PDEVICE_OBJECT DeviceObject, DEVICE_REGISTRY_PROPERTY DeviceProperty, ULONG BufferLength,
                                              PVOID PropertyBuffer, PULONG ResultLength) {
  KDPC_ROUTINE(IoGetDeviceProperty);
  const PhysicalDevice* device = state_of(DeviceObject).physical;
  if (device == nullptr) return STATUS_INVALID_DEVICE_REQUEST;  // NT stops with 0xCA when the Verifier watches
  ULONG ignored = 0;
  ULONG& needed = ResultLength != nullptr ? *ResultLength : ignored;
  needed = 0;
  const Name id = Name(u"ROOT\\").append(view(device->name));
  switch (DeviceProperty) {
    case DevicePropertyDeviceDescription:
    case DevicePropertyFriendlyName: return give_text(Name(view(device->name)), 1, PropertyBuffer, BufferLength, needed);
    case DevicePropertyHardwareID: return give_text(id, 2, PropertyBuffer, BufferLength, needed);
    case DevicePropertyEnumeratorName: return give_text(Name(u"ROOT"), 1, PropertyBuffer, BufferLength, needed);
    case DevicePropertyPhysicalDeviceObjectName: return give_text(names::name_of(DeviceObject), 1, PropertyBuffer, BufferLength, needed);
    case DevicePropertyBootConfiguration: return give_resources(*device->raw, PropertyBuffer, BufferLength, needed);
    case DevicePropertyBootConfigurationTranslated: return give_resources(*device->translated, PropertyBuffer, BufferLength, needed);
    case DevicePropertyLegacyBusType: return give_number(Internal, PropertyBuffer, BufferLength, needed);
    case DevicePropertyBusNumber: return give_number(0, PropertyBuffer, BufferLength, needed);
    case DevicePropertyInstallState: return give_number(InstallStateInstalled, PropertyBuffer, BufferLength, needed);
    case DevicePropertyRemovalPolicy: return give_number(RemovalPolicyExpectSurpriseRemoval, PropertyBuffer, BufferLength, needed);
    case DevicePropertyCompatibleIDs:
    case DevicePropertyClassName:
    case DevicePropertyClassGuid:
    case DevicePropertyDriverKeyName:
    case DevicePropertyManufacturer:
    case DevicePropertyLocationInformation:
    case DevicePropertyBusTypeGuid:
    case DevicePropertyAddress:
    case DevicePropertyUINumber:
    case DevicePropertyResourceRequirements:
    case DevicePropertyAllocatedResources:
    case DevicePropertyContainerID: return STATUS_OBJECT_NAME_NOT_FOUND;
    default: return STATUS_INVALID_PARAMETER_2;
  }
}
