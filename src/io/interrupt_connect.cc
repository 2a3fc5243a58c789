// Connecting interrupts (SEMANTICS 2.1, 2.2): arguments are checked, defaults come from the device's resources, the kernel does the rest.
#include "kernel/interrupt.h"

#include "io/pnp.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::io;

namespace {

NTSTATUS status_of(ConnectResult result) {
  switch (result) {
    case ConnectResult::Connected: return STATUS_SUCCESS;
    case ConnectResult::NoMemory: return STATUS_INSUFFICIENT_RESOURCES;
    case ConnectResult::NoProcessor:
    case ConnectResult::BadParameter:
    case ConnectResult::VectorTaken: return STATUS_INVALID_PARAMETER;  // INT-1
  }
  return STATUS_INVALID_PARAMETER;
}

NTSTATUS connect(const InterruptSpec& spec, PKINTERRUPT* interrupt) {
  // The kernel writes the driver's variable itself, after the vector is open: the ISR may run before it is filled (INT-4).
  return status_of(interrupt::connect(spec, *reinterpret_cast<Interrupt**>(interrupt)));
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

NTSTATUS connect_fully_specified(IO_CONNECT_INTERRUPT_FULLY_SPECIFIED_PARAMETERS& parameters) {
  *parameters.InterruptObject = nullptr;
  const PhysicalDevice* device = physical(parameters.PhysicalDeviceObject);
  if (device == nullptr || parameters.ServiceRoutine == nullptr) return STATUS_INVALID_PARAMETER;
  if ((ProcessorSet(parameters.ProcessorEnableMask) & active_processors()).empty()) return STATUS_INVALID_PARAMETER_10;
  if (parameters.SynchronizeIrql == PASSIVE_LEVEL && parameters.Irql == PASSIVE_LEVEL)
    return parameters.SpinLock != nullptr ? STATUS_INVALID_PARAMETER : STATUS_NOT_SUPPORTED;  // passive-level ISRs (INT-23)
  if (device->line < 0 || device->vector != parameters.Vector) return STATUS_NOT_FOUND;
  return connect(spec_of({parameters.ServiceRoutine, parameters.ServiceContext, parameters.SpinLock, parameters.Vector, parameters.Irql,
                          parameters.SynchronizeIrql, parameters.InterruptMode, parameters.ShareVector != 0, parameters.ProcessorEnableMask}),
                 parameters.InterruptObject);
}

// INT-8: the level asked for is a minimum; drivers pass 0.
NTSTATUS connect_line(PDEVICE_OBJECT object, PKSERVICE_ROUTINE routine, PVOID context, PKSPIN_LOCK lock, KIRQL minimum, PKINTERRUPT* interrupt) {
  *interrupt = nullptr;
  const PhysicalDevice* device = physical(object);
  if (device == nullptr || routine == nullptr) return STATUS_INVALID_PARAMETER;
  if (device->line < 0) return STATUS_NOT_FOUND;
  const auto irql = static_cast<KIRQL>(irql_of(device->vector));
  return connect(spec_of({routine, context, lock, device->vector, irql, minimum > irql ? minimum : irql, device->level ? LevelSensitive : Latched,
                          device->shared, active_processors().mask()}),
                 interrupt);
}

}  // namespace

extern "C" {

NTSTATUS NTAPI IoConnectInterrupt(PKINTERRUPT* InterruptObject, PKSERVICE_ROUTINE ServiceRoutine, PVOID ServiceContext, PKSPIN_LOCK SpinLock,
                                  ULONG Vector, KIRQL Irql, KIRQL SynchronizeIrql, KINTERRUPT_MODE InterruptMode, BOOLEAN ShareVector,
                                  KAFFINITY ProcessorEnableMask, BOOLEAN) {
  KDPC_ROUTINE(IoConnectInterrupt);
  *InterruptObject = nullptr;
  if (ServiceRoutine == nullptr || Vector > 0xFF) return STATUS_INVALID_PARAMETER;
  return connect(
      spec_of({ServiceRoutine, ServiceContext, SpinLock, Vector, Irql, SynchronizeIrql, InterruptMode, ShareVector != 0, ProcessorEnableMask}),
      InterruptObject);
}

VOID NTAPI IoDisconnectInterrupt(PKINTERRUPT InterruptObject) {
  KDPC_ROUTINE_ON(IoDisconnectInterrupt, InterruptObject);
  interrupt::disconnect(&wdk::as_interrupt(InterruptObject));
}

NTSTATUS NTAPI IoConnectInterruptEx(PIO_CONNECT_INTERRUPT_PARAMETERS Parameters) {
  KDPC_ROUTINE(IoConnectInterruptEx);
  switch (Parameters->Version) {
    case CONNECT_FULLY_SPECIFIED: return connect_fully_specified(Parameters->FullySpecified);
    case CONNECT_FULLY_SPECIFIED_GROUP:
      if (Parameters->FullySpecified.Group != 0) return STATUS_INVALID_PARAMETER;
      return connect_fully_specified(Parameters->FullySpecified);
    case CONNECT_LINE_BASED: {
      IO_CONNECT_INTERRUPT_LINE_BASED_PARAMETERS& line = Parameters->LineBased;
      return connect_line(line.PhysicalDeviceObject, line.ServiceRoutine, line.ServiceContext, line.SpinLock, line.SynchronizeIrql,
                          line.InterruptObject);
    }
    case CONNECT_MESSAGE_BASED: {
      // INT-9: a device with a line only is connected by its fallback routine, and Version says so. No device here has messages.
      IO_CONNECT_INTERRUPT_MESSAGE_BASED_PARAMETERS& message = Parameters->MessageBased;
      *message.ConnectionContext.Generic = nullptr;
      if (message.FallBackServiceRoutine == nullptr)
        return physical(message.PhysicalDeviceObject) != nullptr ? STATUS_NOT_FOUND : STATUS_INVALID_PARAMETER;
      const NTSTATUS status = connect_line(message.PhysicalDeviceObject, message.FallBackServiceRoutine, message.ServiceContext, message.SpinLock,
                                           message.SynchronizeIrql, message.ConnectionContext.InterruptObject);
      if (NT_SUCCESS(status)) Parameters->Version = CONNECT_LINE_BASED;
      return status;
    }
    default: return STATUS_INVALID_PARAMETER_1;
  }
}

VOID NTAPI IoDisconnectInterruptEx(PIO_DISCONNECT_INTERRUPT_PARAMETERS Parameters) {
  KDPC_ROUTINE(IoDisconnectInterruptEx);
  interrupt::disconnect(&wdk::as_interrupt(Parameters->ConnectionContext.InterruptObject));
}

}  // extern "C"
