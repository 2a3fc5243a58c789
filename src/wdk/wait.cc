#include "kernel/wait.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// Wait = TRUE lets the caller keep the dispatcher locked until its KeWait…; nothing of that is observable except the lower IRQL limit.
void check_wait_flag(BOOLEAN wait, const void* object) {
  if (const Irql level = current_irql(); wait && level > Irql::Apc && sys().options.irql_checks == Options::IrqlChecks::Strict)
    bug_check(stop::DriverVerifierDetectedViolation, {0x80, as_parameter(level), as_parameter(object), 0},
              "An object was signalled with Wait = TRUE above APC_LEVEL.", "WAIT-1");
}

}  // namespace

extern "C" {

VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State) {
  KDPC_ROUTINE(KeInitializeEvent);
  wait::initialize_event(as_event(Event), Type == NotificationEvent ? ObjectType::NotificationEvent : ObjectType::SynchronizationEvent,
                         State != FALSE);
}

LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KeSetEvent, Event);
  check_wait_flag(Wait, Event);
  return wait::set_event(as_event(Event), Increment);
}

LONG NTAPI KeResetEvent(PRKEVENT Event) {
  KDPC_ROUTINE(KeResetEvent);
  return wait::reset_event(as_event(Event));
}

VOID NTAPI KeClearEvent(PRKEVENT Event) {
  KDPC_ROUTINE(KeClearEvent);
  wait::reset_event(as_event(Event));
}

LONG NTAPI KeReadStateEvent(PRKEVENT Event) {
  KDPC_ROUTINE(KeReadStateEvent);
  return as_event(Event).header.signal_state;
}

LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KePulseEvent, Event);
  check_wait_flag(Wait, Event);
  return wait::pulse_event(as_event(Event), Increment);
}

VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit) {
  KDPC_ROUTINE(KeInitializeSemaphore);
  wait::initialize_semaphore(as_semaphore(Semaphore), Count, Limit);
}

LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KeReleaseSemaphore, Semaphore);
  check_wait_flag(Wait, Semaphore);
  bool ok = true;
  const LONG previous = wait::release_semaphore(as_semaphore(Semaphore), Adjustment, Increment, ok);
  // NT raises STATUS_SEMAPHORE_LIMIT_EXCEEDED, which a driver without a handler meets as a bug check 0x1E.
  if (!ok)
    bug_check(stop::KmodeExceptionNotHandled,
              {static_cast<ULONG>(STATUS_SEMAPHORE_LIMIT_EXCEEDED), as_parameter(Semaphore), static_cast<std::uint64_t>(previous),
               static_cast<std::uint64_t>(Adjustment)},
              "KeReleaseSemaphore would pass the semaphore's limit; NT raises STATUS_SEMAPHORE_LIMIT_EXCEEDED.", "WAIT-4");
  return previous;
}

LONG NTAPI KeReadStateSemaphore(PRKSEMAPHORE Semaphore) {
  KDPC_ROUTINE(KeReadStateSemaphore);
  return as_semaphore(Semaphore).header.signal_state;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON, KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Timeout) {
  KDPC_ROUTINE_ON(KeWaitForSingleObject, Object);
  const std::int64_t limit = Timeout != nullptr ? Timeout->QuadPart : 0;
  return wait::for_object(as_object(Object), Timeout != nullptr ? &limit : nullptr);
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE, BOOLEAN, PLARGE_INTEGER Interval) {
  KDPC_ROUTINE(KeDelayExecutionThread);
  return wait::delay(Interval->QuadPart);
}

}  // extern "C"
