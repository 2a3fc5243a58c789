// The driver of the root bus: what the physical device objects answer when a request has come down to them.
#include "io/root_bus.h"

#include "io/irp.h"
#include "wdk/routine.h"

namespace kdpc::io::root_bus {

namespace {

constexpr ULONG kNoNumber = 0xFFFFFFFF;

PhysicalDevice& of(DEVICE_OBJECT* device) { return *state_of(device).physical; }

// Memory that the sender of the request frees.
void* answer(IRP* irp, const void* content, std::size_t size) {
  void* memory = sys().pool.allocate(size, kTag, PoolType::Paged, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
  if (memory != nullptr) std::memcpy(memory, content, size);
  irp->IoStatus.Information = reinterpret_cast<ULONG_PTR>(memory);
  return memory;
}

NTSTATUS answer_text(IRP* irp, const Name& text, unsigned zeros) {
  char16_t buffer[Name::kRoom + 2] = {};
  const std::u16string_view its = text.view();
  std::memcpy(buffer, its.data(), its.size() * sizeof(char16_t));
  return answer(irp, buffer, (its.size() + zeros) * sizeof(char16_t)) != nullptr ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS query_capabilities(DEVICE_CAPABILITIES& capabilities) {
  for (int state = PowerSystemWorking; state < PowerSystemMaximum; ++state)
    capabilities.DeviceState[state] = state == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3;
  capabilities.UniqueID = 1;
  capabilities.SilentInstall = 1;
  capabilities.Address = kNoNumber;
  capabilities.UINumber = kNoNumber;
  return STATUS_SUCCESS;
}

NTSTATUS query_id(DEVICE_OBJECT* device, IRP* irp) {
  switch (IoGetCurrentIrpStackLocation(irp)->Parameters.QueryId.IdType) {
    case BusQueryDeviceID: return answer_text(irp, Name(u"ROOT\\").append(view(of(device).name)), 1);
    case BusQueryHardwareIDs: return answer_text(irp, Name(u"ROOT\\").append(view(of(device).name)), 2);
    case BusQueryInstanceID: return answer_text(irp, Name(u"0000"), 1);
    default: return irp->IoStatus.Status;
  }
}

NTSTATUS query_relations(DEVICE_OBJECT* device, IRP* irp) {
  if (IoGetCurrentIrpStackLocation(irp)->Parameters.QueryDeviceRelations.Type != TargetDeviceRelation) return irp->IoStatus.Status;
  DEVICE_RELATIONS relations = {1, {device}};
  if (answer(irp, &relations, sizeof relations) == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
  device::reference(device);
  return STATUS_SUCCESS;
}

NTSTATUS query_resources(DEVICE_OBJECT* device, IRP* irp) {
  const CM_RESOURCE_LIST& raw = *of(device).raw;
  const CM_PARTIAL_RESOURCE_LIST& partial = raw.List[0].PartialResourceList;
  if (partial.Count == 0) return STATUS_SUCCESS;
  const auto* end = reinterpret_cast<const std::byte*>(partial.PartialDescriptors + partial.Count);
  const auto size = static_cast<std::size_t>(end - reinterpret_cast<const std::byte*>(&raw));
  return answer(irp, &raw, size) != nullptr ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

NTSTATUS NTAPI pnp(DEVICE_OBJECT* device, IRP* irp) {
  IO_STACK_LOCATION* location = IoGetCurrentIrpStackLocation(irp);
  switch (location->MinorFunction) {
    case IRP_MN_START_DEVICE:
    case IRP_MN_STOP_DEVICE:
    case IRP_MN_QUERY_STOP_DEVICE:
    case IRP_MN_CANCEL_STOP_DEVICE:
    case IRP_MN_QUERY_REMOVE_DEVICE:
    case IRP_MN_CANCEL_REMOVE_DEVICE:
    case IRP_MN_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
    case IRP_MN_DEVICE_USAGE_NOTIFICATION:
    case IRP_MN_QUERY_PNP_DEVICE_STATE: return irp::complete(irp, STATUS_SUCCESS);
    case IRP_MN_QUERY_CAPABILITIES: return irp::complete(irp, query_capabilities(*location->Parameters.DeviceCapabilities.Capabilities));
    case IRP_MN_QUERY_ID: return irp::complete(irp, query_id(device, irp));
    case IRP_MN_QUERY_DEVICE_TEXT: return irp::complete(irp, answer_text(irp, Name(view(of(device).name)), 1));
    case IRP_MN_QUERY_DEVICE_RELATIONS: return irp::complete(irp, query_relations(device, irp));
    case IRP_MN_QUERY_RESOURCES: return irp::complete(irp, query_resources(device, irp));
    default: return irp::complete(irp, irp->IoStatus.Status);  // what the bus does not know keeps the status it came with
  }
}

NTSTATUS NTAPI power(DEVICE_OBJECT*, IRP* irp) {
  const UCHAR minor = IoGetCurrentIrpStackLocation(irp)->MinorFunction;
  return irp::complete(irp, minor == IRP_MN_SET_POWER || minor == IRP_MN_QUERY_POWER ? STATUS_SUCCESS : irp->IoStatus.Status);
}

NTSTATUS NTAPI system_control(DEVICE_OBJECT*, IRP* irp) { return irp::complete(irp, irp->IoStatus.Status); }

}  // namespace

Driver* driver() {
  constexpr std::u16string_view kName = u"PnpManager";
  if (Driver* existing = driver::find(kName)) return existing;
  Driver* created = driver::create(kName, nullptr, nullptr, 0);
  if (created == nullptr) return nullptr;
  created->object.MajorFunction[IRP_MJ_PNP] = pnp;
  created->object.MajorFunction[IRP_MJ_POWER] = power;
  created->object.MajorFunction[IRP_MJ_SYSTEM_CONTROL] = system_control;
  return created;
}

}  // namespace kdpc::io::root_bus
