// Connecting interrupts (SEMANTICS 2.1, 2.2): arguments are checked, defaults come from the device's resources, the kernel does the rest.
#include <algorithm>

#include "io/messages.h"
#include "kernel/interrupt.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

NTSTATUS connect(const InterruptSpec& spec, PKINTERRUPT* interrupt) {
  // The kernel writes the driver's variable itself, after the vector is open: the ISR may run before it is filled (INT-4).
  return messages::status_of(interrupt::connect(spec, *reinterpret_cast<Interrupt**>(interrupt)));
}

struct Wanted {
  PKSERVICE_ROUTINE routine;
  PVOID context;
  PKSPIN_LOCK lock;
  ULONG vector;
  KIRQL irql, synchronize_irql;
  KINTERRUPT_MODE mode;
  bool shared;
  KAFFINITY processors;
};

InterruptSpec spec_of(const Wanted& wanted) {
  InterruptSpec spec;
  spec.routine = wdk::as_routine(wanted.routine);
  spec.context = wanted.context;
  spec.lock = wanted.lock != nullptr ? &wdk::as_lock(wanted.lock) : nullptr;
  spec.vector = static_cast<std::uint8_t>(wanted.vector);
  spec.irql = static_cast<Irql>(wanted.irql);
  spec.synchronize_irql = static_cast<Irql>(wanted.synchronize_irql);
  spec.trigger = wanted.mode == Latched ? Trigger::Latched : Trigger::Level;
  spec.shared = wanted.shared;
  spec.processors = ProcessorSet(wanted.processors);
  return spec;
}

const PhysicalDevice* physical(PDEVICE_OBJECT device) { return device != nullptr ? io::state_of(device).physical : nullptr; }

bool has_vector(const PhysicalDevice& device, ULONG vector) {
  for (unsigned message = 0; message < device.message_count; ++message)
    if (device.messages[message] == vector) return true;
  return device.line >= 0 && device.vector == vector;
}

NTSTATUS connect_fully_specified(const IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS& parameters) {
  *parameters.InterruptObject = nullptr;
  const PhysicalDevice* device = physical(parameters.PhysicalDeviceObject);
  if (device == nullptr || parameters.ServiceRoutine == nullptr) return STATUS_INVALID_PARAMETER;
  if ((ProcessorSet(parameters.ProcessorEnableMask) & active_processors()).empty()) return STATUS_INVALID_PARAMETER_10;
  if (!has_vector(*device, parameters.Vector)) return STATUS_NOT_FOUND;
  if (device->passive && parameters.Irql != PASSIVE_LEVEL) return STATUS_INVALID_PARAMETER;
  return connect(spec_of({parameters.ServiceRoutine, parameters.ServiceContext, parameters.SpinLock, parameters.Vector, parameters.Irql,
                          parameters.SynchronizeIrql, parameters.InterruptMode, parameters.ShareVector != 0, parameters.ProcessorEnableMask}),
                 parameters.InterruptObject);
}

// By the one line or the one message that the device has. INT-8: the level asked for is a minimum; drivers pass 0. A line whose routine must run at
// Passive refuses a higher one, and a spin lock (INT-23).
NTSTATUS connect_line(const IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS& parameters) {
  *parameters.InterruptObject = nullptr;
  const PhysicalDevice* device = physical(parameters.PhysicalDeviceObject);
  if (device == nullptr || parameters.ServiceRoutine == nullptr) return STATUS_INVALID_PARAMETER;
  if (device->message_count > 1) return STATUS_INVALID_DEVICE_REQUEST;
  const bool by_message = device->message_count == 1;
  if (!by_message && device->line < 0) return STATUS_NOT_FOUND;
  const std::uint8_t vector = by_message ? device->messages[0] : device->vector;
  const auto irql = static_cast<KIRQL>(device->passive ? Irql::Passive : irql_of(vector));
  return connect(
      spec_of({parameters.ServiceRoutine, parameters.ServiceContext, parameters.SpinLock, vector, irql, std::max(parameters.SynchronizeIrql, irql),
               !by_message && device->level ? LevelSensitive : Latched, !by_message && device->shared, active_processors().mask()}),
      parameters.InterruptObject);
}

// INT-9: a device with a line only is connected by its fallback routine, and Version says so.
NTSTATUS connect_messages(ULONG& version, const IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS& parameters) {
  *parameters.ConnectionContext.Generic = nullptr;
  const PhysicalDevice* device = physical(parameters.PhysicalDeviceObject);
  if (device == nullptr) return STATUS_INVALID_PARAMETER;
  if (device->message_count != 0) {
    if (parameters.MessageServiceRoutine == nullptr) return STATUS_INVALID_PARAMETER;
    return messages::connect(*device, parameters, *parameters.ConnectionContext.InterruptMessageTable);
  }
  if (parameters.FallBackServiceRoutine == nullptr) return STATUS_NOT_FOUND;
  const NTSTATUS status =
      connect_line({parameters.PhysicalDeviceObject, parameters.ConnectionContext.InterruptObject, parameters.FallBackServiceRoutine,
                    parameters.ServiceContext, parameters.SpinLock, parameters.SynchronizeIrql, parameters.FloatingSave});
  if (NT_SUCCESS(status)) version = CONNECT_LINE_BASED;
  return status;
}

// NT frees the object a second time, or something that is none.
Interrupt& connected(PKINTERRUPT object) {
  if (!interrupt::is_connected(&wdk::as_interrupt(object)))
    bug_check(stop::BadPoolCaller, {7, 0, 0, as_parameter(object)},
              "A routine was given an interrupt object that is not connected, or another kind of object than Version says.", "INT-26");
  return wdk::as_interrupt(object);
}

void set_active(const IO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS& parameters, bool active) {
  if (parameters.Version == CONNECT_MESSAGE_BASED) {
    messages::set_active(parameters.ConnectionContext.InterruptMessageTable, active);
  } else {
    interrupt::set_active(&connected(parameters.ConnectionContext.InterruptObject), active);
  }
}

}  // namespace

extern "C" {

NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT* InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, PVOID ServiceContext, PKSPIN_LOCK SpinLock,
                                  ULONG Vector, KIRQL Irql, KIRQL SynchronizeIrql, KINTERRUPT_MODE InterruptMode, BOOLEAN ShareVector,
                                  KAFFINITY ProcessorEnableMask, BOOLEAN) {
  KDPC_ROUTINE(IoConnectInterrupt);
  *InterruptObject = nullptr;
  KDPC_MAY_FAIL(IoConnectInterrupt, STATUS_INSUFFICIENT_RESOURCES);
  if (ServiceRoutine == nullptr || Vector > 0xFF || Irql == PASSIVE_LEVEL) return STATUS_INVALID_PARAMETER;
  return connect(
      spec_of({ServiceRoutine, ServiceContext, SpinLock, Vector, Irql, SynchronizeIrql, InterruptMode, ShareVector != 0, ProcessorEnableMask}),
      InterruptObject);
}

VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject) {
  KDPC_ROUTINE_ON(IoDisconnectInterrupt, InterruptObject);
  interrupt::disconnect(&connected(InterruptObject));
}

NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters) {
  KDPC_ROUTINE(IoConnectInterruptEx);
  KDPC_MAY_FAIL(IoConnectInterruptEx, STATUS_INSUFFICIENT_RESOURCES);
  if (sys().options.connect_interrupt_ex == Options::ConnectInterruptEx::Nt52 && Parameters->Version != CONNECT_FULLY_SPECIFIED) {
    Parameters->Version = CONNECT_FULLY_SPECIFIED;
    return STATUS_NOT_SUPPORTED;
  }
  switch (Parameters->Version) {
    case CONNECT_FULLY_SPECIFIED: return connect_fully_specified(Parameters->FullySpecified);
    case CONNECT_FULLY_SPECIFIED_GROUP:
      if (Parameters->FullySpecified.Group != 0) return STATUS_INVALID_PARAMETER;
      return connect_fully_specified(Parameters->FullySpecified);
    case CONNECT_LINE_BASED: return connect_line(Parameters->LineBased);
    case CONNECT_MESSAGE_BASED: return connect_messages(Parameters->Version, Parameters->MessageBased);
    default: return STATUS_INVALID_PARAMETER_1;
  }
}

VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters) {
  KDPC_ROUTINE(IoDisconnectInterruptEx);
  if (Parameters->Version == CONNECT_MESSAGE_BASED) {
    messages::disconnect(Parameters->ConnectionContext.InterruptMessageTable);
  } else {
    interrupt::disconnect(&connected(Parameters->ConnectionContext.InterruptObject));
  }
}

VOID NTAPI IoReportInterruptActive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters) {
  KDPC_ROUTINE(IoReportInterruptActive);
  set_active(*Parameters, true);
}

VOID NTAPI IoReportInterruptInactive(PIO_REPORT_INTERRUPT_ACTIVE_STATE_PARAMETERS Parameters) {
  KDPC_ROUTINE(IoReportInterruptInactive);
  set_active(*Parameters, false);
}

}  // extern "C"
