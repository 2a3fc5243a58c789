// Power requests: passed on like any others. The system never changes its power state by itself here.
#include "io/irp.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

struct PowerRequest {
  PREQUEST_POWER_COMPLETE done;
  void* context;
  POWER_STATE state;
  DEVICE_OBJECT* device;
  UCHAR minor;
};

NTSTATUS NTAPI power_completed(DEVICE_OBJECT*, IRP* irp, void* context) {
  auto* request = static_cast<PowerRequest*>(context);
  IO_STATUS_BLOCK result = irp->IoStatus;
  if (request->done != nullptr) request->done(request->device, request->minor, request->state, request->context, &result);
  device::dereference(request->device);
  discard(request);
  irp::free(irp);
  return STATUS_MORE_PROCESSING_REQUIRED;
}

}  // namespace

extern "C" {

NTSTATUS NTAPI PoCallDriver(PDEVICE_OBJECT DeviceObject, PIRP Irp) {
  KDPC_ROUTINE_ON(PoCallDriver, Irp);
  return irp::call(DeviceObject, Irp);
}

VOID NTAPI PoStartNextPowerIrp(PIRP Irp) { KDPC_ROUTINE_ON(PoStartNextPowerIrp, Irp); }

POWER_STATE NTAPI PoSetPowerState(PDEVICE_OBJECT DeviceObject, POWER_STATE_TYPE Type, POWER_STATE State) {
  KDPC_ROUTINE(PoSetPowerState);
  if (Type != DevicePowerState) return State;
  const POWER_STATE previous = io::state_of(DeviceObject).power_state;
  io::state_of(DeviceObject).power_state = State;
  return previous;
}

NTSTATUS NTAPI PoRequestPowerIrp(PDEVICE_OBJECT DeviceObject, UCHAR MinorFunction, POWER_STATE PowerState, PREQUEST_POWER_COMPLETE CompletionFunction,
                                 PVOID Context, PIRP* Irp) {
  KDPC_ROUTINE(PoRequestPowerIrp);
  KDPC_MAY_FAIL(PoRequestPowerIrp, STATUS_INSUFFICIENT_RESOURCES);
  if (MinorFunction != IRP_MN_SET_POWER && MinorFunction != IRP_MN_QUERY_POWER && MinorFunction != IRP_MN_WAIT_WAKE)
    return STATUS_INVALID_PARAMETER_2;
  DEVICE_OBJECT* top = device::top_of(DeviceObject);
  IRP* created = irp::allocate(static_cast<CCHAR>(top->StackSize));
  auto* request = make<PowerRequest>();
  if (created == nullptr || request == nullptr) {
    if (created != nullptr) irp::free(created);
    if (request != nullptr) discard(request);
    return STATUS_INSUFFICIENT_RESOURCES;
  }
  *request = {CompletionFunction, Context, PowerState, DeviceObject, MinorFunction};
  device::reference(DeviceObject);
  created->IoStatus.Status = STATUS_NOT_SUPPORTED;
  IO_STACK_LOCATION* location = IoGetNextIrpStackLocation(created);
  location->MajorFunction = IRP_MJ_POWER;
  location->MinorFunction = MinorFunction;
  if (MinorFunction == IRP_MN_WAIT_WAKE) {
    location->Parameters.WaitWake.PowerState = PowerState.SystemState;
  } else {
    location->Parameters.Power.Type = DevicePowerState;
    location->Parameters.Power.State = PowerState;
  }
  IoSetCompletionRoutine(created, power_completed, request, TRUE, TRUE, TRUE);
  if (Irp != nullptr) *Irp = created;
  irp::call(top, created);
  return STATUS_PENDING;
}

}  // extern "C"
