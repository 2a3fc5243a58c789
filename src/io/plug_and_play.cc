// What drivers tell the PnP manager: that a device has changed, or that they want to know when the system goes down. It asks in its own time.
#include "io/pnp.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

// A question that is asked later.
struct Question {
  pnp::Errand errand;
  DEVICE_OBJECT* device;  // referenced
  DEVICE_RELATION_TYPE relations;
};

void KDPC_NTAPI ask_for_state(void* context) {
  auto* question = static_cast<Question*>(context);
  pnp::ask_for_state(*state_of(question->device).physical);
  device::dereference(question->device);
  discard(question);
}

void KDPC_NTAPI ask_for_relations(void* context) {
  auto* question = static_cast<Question*>(context);
  {
    const pnp::Turn turn;
    pnp::ask_for_relations(*state_of(question->device).physical, question->relations);
  }
  device::dereference(question->device);
  discard(question);
}

// Without memory the question is not asked, as on NT.
void ask_later(DEVICE_OBJECT* device, DEVICE_RELATION_TYPE relations, WorkRoutine* routine) {
  if (state_of(device).physical == nullptr) {
    remark("kdpc: a device was invalidated that is not the physical device object the bus driver made");
    return;
  }
  auto* question = make<Question>();
  if (question == nullptr) return;
  device::reference(device);
  question->device = device;
  question->relations = relations;
  pnp::do_later(question->errand, routine, question);
}

}  // namespace

extern "C" {

VOID NTAPI IoInvalidateDeviceState(PDEVICE_OBJECT PhysicalDeviceObject) {
  KDPC_ROUTINE_ON(IoInvalidateDeviceState, PhysicalDeviceObject);
  ask_later(PhysicalDeviceObject, BusRelations, ask_for_state);
}

VOID NTAPI IoInvalidateDeviceRelations(PDEVICE_OBJECT DeviceObject, DEVICE_RELATION_TYPE Type) {
  KDPC_ROUTINE_ON(IoInvalidateDeviceRelations, DeviceObject);
  ask_later(DeviceObject, Type, ask_for_relations);
}

NTSTATUS NTAPI IoRegisterShutdownNotification(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE_ON(IoRegisterShutdownNotification, DeviceObject);
  Guard guard;
  state_of(DeviceObject).wants_shutdown = true;
  DeviceObject->Flags |= DO_SHUTDOWN_REGISTERED;
  return STATUS_SUCCESS;
}

VOID NTAPI IoUnregisterShutdownNotification(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE_ON(IoUnregisterShutdownNotification, DeviceObject);
  Guard guard;
  state_of(DeviceObject).wants_shutdown = false;
  DeviceObject->Flags &= ~static_cast<ULONG>(DO_SHUTDOWN_REGISTERED);
}

}  // extern "C"
