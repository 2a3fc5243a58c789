// Sleeping, waking and shutting down, as the power manager does it. Requests come at Passive, one device after the other.
#include "io/pnp.h"
#include "io/requests.h"
#include "io/root_bus.h"

namespace kdpc::io::system_power {

namespace {

// How long NT waits for a power request before it stops with 0x9F: ten minutes, in units of 100 ns, relative.
constexpr std::int64_t kPatience = -10LL * 60 * 10'000'000;

IoResult send_power(PhysicalDevice& device, UCHAR minor, SYSTEM_POWER_STATE state, POWER_ACTION action) {
  Request* request = requests::create(device.object, nullptr, IRP_MJ_POWER, minor);
  if (request == nullptr) return {STATUS_INSUFFICIENT_RESOURCES, 0};
  request->irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
  auto& power = IoGetNextIrpStackLocation(request->irp)->Parameters.Power;
  power.Type = SystemPowerState;
  power.State.SystemState = state;
  power.ShutdownType = action;
  requests::dispatch(*request);
  if (!requests::wait_for(*request, &kPatience))
    bug_check(stop::DriverPowerStateFailure, {3, as_parameter(device.object), 0, as_parameter(request->irp)},
              "A driver has not completed a power request within ten minutes.", "0x9F");
  return requests::finish(request);
}

POWER_ACTION action_for(SYSTEM_POWER_STATE state) {
  switch (state) {
    case PowerSystemWorking: return PowerActionNone;
    case PowerSystemHibernate: return PowerActionHibernate;
    case PowerSystemShutdown: return PowerActionShutdownOff;
    default: return PowerActionSleep;
  }
}

// A driver that does not handle power at all neither allows nor refuses.
bool is_refusal(NTSTATUS status) { return !NT_SUCCESS(status) && status != STATUS_NOT_SUPPORTED && status != STATUS_INVALID_DEVICE_REQUEST; }

template <class Visit>
void for_each_started(Visit visit) {
  for (DEVICE_OBJECT* object = root_bus::driver()->object.DeviceObject; object != nullptr; object = object->NextDevice)
    if (PhysicalDevice* device = state_of(object).physical; device != nullptr && device->state == PnpState::Started) visit(*device);
}

// The next device that registered for shutdown; each is told once.
DEVICE_OBJECT* take_registered() {
  Guard guard;
  for (Driver* driver = manager().drivers; driver != nullptr; driver = driver->next)
    for (DEVICE_OBJECT* device = driver->object.DeviceObject; device != nullptr; device = device->NextDevice)
      if (state_of(device).wants_shutdown) {
        state_of(device).wants_shutdown = false;
        return device;
      }
  return nullptr;
}

pnp::Step go_in_turn(SYSTEM_POWER_STATE state) {
  pnp::Step step;
  const POWER_ACTION action = action_for(state);
  if (state != PowerSystemWorking && state != PowerSystemShutdown)
    for_each_started([&](PhysicalDevice& device) {
      if (!step.ok()) return;
      if (const NTSTATUS status = send_power(device, IRP_MN_QUERY_POWER, state, action).status; is_refusal(status))
        step = {status, "IRP_MN_QUERY_POWER"};
    });
  // After a refusal all are told that the system stays as it is.
  const SYSTEM_POWER_STATE final_state = step.ok() ? state : PowerSystemWorking;
  for_each_started([&](PhysicalDevice& device) { send_power(device, IRP_MN_SET_POWER, final_state, action); });
  return step;
}

}  // namespace

pnp::Step go_to(SYSTEM_POWER_STATE state) {
  const pnp::Turn turn;
  return go_in_turn(state);
}

void sleep_and_wake() {
  const pnp::Turn turn;
  if (go_in_turn(PowerSystemSleeping3).ok()) go_in_turn(PowerSystemWorking);
}

pnp::Step shut_down() {
  const pnp::Turn turn;
  while (DEVICE_OBJECT* device = take_registered()) requests::send(device, IRP_MJ_SHUTDOWN, 0, STATUS_SUCCESS, [](IO_STACK_LOCATION&) {});
  return go_in_turn(PowerSystemShutdown);
}

}  // namespace kdpc::io::system_power
