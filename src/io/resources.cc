#include "io/resources.h"

namespace kdpc::io::resources {

namespace {

CM_RESOURCE_LIST* empty_list(unsigned descriptors) {
  auto* list = make<CM_RESOURCE_LIST>(sizeof(CM_RESOURCE_LIST) + descriptors * sizeof(CM_PARTIAL_RESOURCE_DESCRIPTOR));
  if (list == nullptr) return nullptr;
  list->Count = 1;
  list->List[0].InterfaceType = Internal;
  list->List[0].PartialResourceList.Version = 1;
  list->List[0].PartialResourceList.Revision = 1;
  return list;
}

CM_PARTIAL_RESOURCE_DESCRIPTOR& add(CM_RESOURCE_LIST& list) {
  CM_PARTIAL_RESOURCE_LIST& partial = list.List[0].PartialResourceList;
  return partial.PartialDescriptors[partial.Count++];
}

// The bus has no address translation: both views show the same range.
void add_range(CM_RESOURCE_LIST& list, const RegisterRange& range) {
  CM_PARTIAL_RESOURCE_DESCRIPTOR& descriptor = add(list);
  const bool port = range.space == BusSpace::Port;
  descriptor.Type = port ? CmResourceTypePort : CmResourceTypeMemory;
  descriptor.ShareDisposition = CmResourceShareDeviceExclusive;
  descriptor.Flags = port ? CM_RESOURCE_PORT_IO : CM_RESOURCE_MEMORY_READ_WRITE;
  descriptor.u.Generic.Start.QuadPart = static_cast<LONGLONG>(range.base);
  descriptor.u.Generic.Length = static_cast<ULONG>(range.size);
}

// Raw: the number of the line. Translated: the vector, and its level as Vector >> 4, or 0 if the routine has to run at Passive (INT-23).
void add_interrupt(CM_RESOURCE_LIST& list, const PhysicalDevice& device, bool translated) {
  CM_PARTIAL_RESOURCE_DESCRIPTOR& descriptor = add(list);
  descriptor.Type = CmResourceTypeInterrupt;
  descriptor.ShareDisposition = device.shared ? CmResourceShareShared : CmResourceShareDeviceExclusive;
  descriptor.Flags = device.level ? CM_RESOURCE_INTERRUPT_LEVEL_SENSITIVE : CM_RESOURCE_INTERRUPT_LATCHED;
  const Irql level = device.passive ? Irql::Passive : irql_of(device.vector);
  descriptor.u.Interrupt.Level = translated ? static_cast<ULONG>(level) : static_cast<ULONG>(device.line);
  descriptor.u.Interrupt.Vector = translated ? device.vector : static_cast<ULONG>(device.line);
  descriptor.u.Interrupt.Affinity = active_processors().mask();
}

// A multi-message MSI is one descriptor, and message n has the n-th vector from its own; an MSI-X message has a descriptor to itself.
void add_messages(CM_RESOURCE_LIST& list, std::uint8_t vector, unsigned count, bool translated) {
  CM_PARTIAL_RESOURCE_DESCRIPTOR& descriptor = add(list);
  descriptor.Type = CmResourceTypeInterrupt;
  descriptor.ShareDisposition = CmResourceShareDeviceExclusive;
  descriptor.Flags = CM_RESOURCE_INTERRUPT_LATCHED | CM_RESOURCE_INTERRUPT_MESSAGE;
  if (translated) {
    descriptor.u.MessageInterrupt.Translated.Level = static_cast<ULONG>(irql_of(vector));
    descriptor.u.MessageInterrupt.Translated.Vector = vector;
    descriptor.u.MessageInterrupt.Translated.Affinity = active_processors().mask();
  } else {
    descriptor.u.MessageInterrupt.Raw.MessageCount = static_cast<USHORT>(count);
    descriptor.u.MessageInterrupt.Raw.Vector = vector;
    descriptor.u.MessageInterrupt.Raw.Affinity = active_processors().mask();
  }
}

}  // namespace

bool build(PhysicalDevice& device) {
  const unsigned message_descriptors = device.msi_x || device.message_count == 0 ? device.message_count : 1;
  const unsigned count = device.range_count + (device.line >= 0 ? 1 : 0) + message_descriptors;
  device.raw = empty_list(count);
  device.translated = empty_list(count);
  if (device.raw == nullptr || device.translated == nullptr) return false;
  for (CM_RESOURCE_LIST* list : {device.raw, device.translated}) {
    for (unsigned range = 0; range < device.range_count; ++range) add_range(*list, device.ranges[range]);
    if (device.line >= 0) add_interrupt(*list, device, list == device.translated);
    for (unsigned index = 0; index < message_descriptors; ++index)
      add_messages(*list, device.messages[index], device.msi_x ? 1 : device.message_count, list == device.translated);
  }
  return true;
}

}  // namespace kdpc::io::resources
