#include "io/device_timer.h"

#include "wdk/may_fail.h"
#include "wdk/routine.h"

namespace kdpc::io {

namespace {

constexpr std::int64_t kSecond = -10'000'000;  // relative, 100 ns
constexpr std::uint32_t kPeriod = 1000;        // ms

void KDPC_NTAPI expired(Dpc*, void* context, void*, void*) {
  auto& timer = *static_cast<IoTimer*>(context);
  timer.routine(timer.device, timer.context);
}

}  // namespace

void device_timer::remove(DEVICE_OBJECT* device) {
  IoTimer* timer = state_of(device).timer;
  if (timer == nullptr) return;
  timer::cancel(timer->timer);
  audit_range(timer, sizeof *timer);
  state_of(device).timer = nullptr;
  device->Timer = nullptr;
  discard(timer);
}

}  // namespace kdpc::io

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

NTSTATUS NTAPI IoInitializeTimer(PDEVICE_OBJECT DeviceObject, PIO_TIMER_ROUTINE TimerRoutine, PVOID Context) {
  KDPC_ROUTINE_ON(IoInitializeTimer, DeviceObject);
  DeviceState& state = state_of(DeviceObject);
  if (state.timer == nullptr) {
    KDPC_MAY_FAIL(IoInitializeTimer, STATUS_INSUFFICIENT_RESOURCES);
    state.timer = make<IoTimer>();
    if (state.timer == nullptr) return STATUS_INSUFFICIENT_RESOURCES;
    timer::initialize(state.timer->timer, timer::Kind::Synchronization);
    dpc::initialize(state.timer->dpc, expired, state.timer);
    state.timer->device = DeviceObject;
    DeviceObject->Timer = reinterpret_cast<PIO_TIMER>(state.timer);
  }
  state.timer->routine = TimerRoutine;
  state.timer->context = Context;
  return STATUS_SUCCESS;
}

VOID NTAPI IoStartTimer(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE_ON(IoStartTimer, DeviceObject);
  if (IoTimer* timer = state_of(DeviceObject).timer) timer::set(timer->timer, {.due = kSecond, .period = kPeriod, .dpc = &timer->dpc});
}

VOID NTAPI IoStopTimer(PDEVICE_OBJECT DeviceObject) {
  KDPC_ROUTINE_ON(IoStopTimer, DeviceObject);
  if (IoTimer* timer = state_of(DeviceObject).timer) timer::cancel(timer->timer);
}

}  // extern "C"
