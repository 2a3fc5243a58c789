#include "kernel/wait.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// Wait = TRUE leaves the caller at DISPATCH_LEVEL until its KeWait…, which lowers again.
void check_wait_flag(BOOLEAN wait, const void* object) {
  if (const Irql level = current_irql(); wait && level > Irql::Apc && sys().options.irql_checks == Options::IrqlChecks::Strict)
    bug_check(stop::DriverVerifierDetectedViolation, {0x80, as_parameter(level), as_parameter(object), 0},
              "An object was signalled with Wait = TRUE above APC_LEVEL.", "WAIT-1");
}

const std::int64_t* limit_of(const LARGE_INTEGER* timeout) {
  return timeout != nullptr ? reinterpret_cast<const std::int64_t*>(&timeout->QuadPart) : nullptr;
}

wait::Manner manner_of(KPROCESSOR_MODE mode, BOOLEAN alertable) { return {.user_mode = mode != KernelMode, .alertable = alertable != FALSE}; }

LONG release(PRKMUTEX mutex, KPRIORITY increment, BOOLEAN wait) {
  std::int32_t previous = 0;
  const mutex::Released released = mutex::release(as_mutant(mutex), increment, wait != FALSE, previous);
  if (released == mutex::Released::Yes) return previous;
  // NT raises it, which a driver without a handler meets as a bug check 0x1E.
  const NTSTATUS status = released == mutex::Released::Abandoned ? STATUS_ABANDONED : STATUS_MUTANT_NOT_OWNED;
  bug_check(stop::KmodeExceptionNotHandled,
            {static_cast<ULONG>(status), as_parameter(mutex), as_parameter(mutex->OwnerThread), as_parameter(&thread::current())},
            "A mutex was released by a thread that does not own it; NT raises STATUS_MUTANT_NOT_OWNED.", "WAIT-4");
}

}  // namespace

extern "C" {

VOID NTAPI KeInitializeEvent(PRKEVENT Event, EVENT_TYPE Type, BOOLEAN State) {
  KDPC_ROUTINE(KeInitializeEvent);
  wait::initialize_event(as_event(Event), Type == NotificationEvent ? ObjectType::NotificationEvent : ObjectType::SynchronizationEvent,
                         State != FALSE);
  Machine::observe(ObjectInitialized{Event, ObjectKind::Event});
}

LONG NTAPI KeSetEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KeSetEvent, Event);
  check_wait_flag(Wait, Event);
  return wait::set_event(as_event(Event), Increment, Wait != FALSE);
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
  Machine::observe(KernelRead{Event});
  return as_event(Event).header.signal_state;
}

LONG NTAPI KePulseEvent(PRKEVENT Event, KPRIORITY Increment, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KePulseEvent, Event);
  check_wait_flag(Wait, Event);
  return wait::pulse_event(as_event(Event), Increment, Wait != FALSE);
}

VOID NTAPI KeInitializeSemaphore(PRKSEMAPHORE Semaphore, LONG Count, LONG Limit) {
  KDPC_ROUTINE(KeInitializeSemaphore);
  wait::initialize_semaphore(as_semaphore(Semaphore), Count, Limit);
}

LONG NTAPI KeReleaseSemaphore(PRKSEMAPHORE Semaphore, KPRIORITY Increment, LONG Adjustment, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KeReleaseSemaphore, Semaphore);
  check_wait_flag(Wait, Semaphore);
  bool ok = true;
  const LONG previous = wait::release_semaphore(as_semaphore(Semaphore), Adjustment, Increment, ok, Wait != FALSE);
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
  Machine::observe(KernelRead{Semaphore});
  return as_semaphore(Semaphore).header.signal_state;
}

VOID NTAPI KeInitializeMutex(PRKMUTEX Mutex, ULONG) {
  KDPC_ROUTINE(KeInitializeMutex);
  mutex::initialize(as_mutant(Mutex), true);
}

VOID NTAPI KeInitializeMutant(PRKMUTANT Mutant, BOOLEAN InitialOwner) {
  KDPC_ROUTINE(KeInitializeMutant);
  mutex::initialize(as_mutant(Mutant), false);
  const std::int64_t poll = 0;
  if (InitialOwner) wait::for_object(as_object(Mutant), &poll);
}

LONG NTAPI KeReleaseMutex(PRKMUTEX Mutex, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(KeReleaseMutex, Mutex);
  check_wait_flag(Wait, Mutex);
  constexpr KPRIORITY kMutexIncrement = 1;
  return release(Mutex, kMutexIncrement, Wait);
}

LONG NTAPI KeReadStateMutex(PRKMUTEX Mutex) {
  KDPC_ROUTINE(KeReadStateMutex);
  Machine::observe(KernelRead{Mutex});
  return as_mutant(Mutex).header.signal_state;
}

NTSTATUS NTAPI KeWaitForSingleObject(PVOID Object, KWAIT_REASON, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Timeout) {
  KDPC_ROUTINE_ON(KeWaitForSingleObject, Object);
  return wait::for_object(as_object(Object), limit_of(Timeout), manner_of(WaitMode, Alertable));
}

NTSTATUS NTAPI KeWaitForMultipleObjects(ULONG Count, PVOID Object[], WAIT_TYPE WaitType, KWAIT_REASON, KPROCESSOR_MODE WaitMode, BOOLEAN Alertable,
                                        PLARGE_INTEGER Timeout, PKWAIT_BLOCK WaitBlockArray) {
  KDPC_ROUTINE_ON(KeWaitForMultipleObjects, Object);
  if (WaitType != WaitAll && WaitType != WaitAny)
    bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_INVALID_PARAMETER_3), static_cast<ULONG>(WaitType), as_parameter(Object), 0},
              "A wait for several objects must be for all or for any of them.", "WAIT-4");
  return wait::for_objects(reinterpret_cast<DispatcherHeader* const*>(Object), Count, static_cast<WaitKind>(WaitType), limit_of(Timeout),
                           as_wait_blocks(WaitBlockArray), manner_of(WaitMode, Alertable));
}

NTSTATUS NTAPI KeDelayExecutionThread(KPROCESSOR_MODE WaitMode, BOOLEAN Alertable, PLARGE_INTEGER Interval) {
  KDPC_ROUTINE(KeDelayExecutionThread);
  return wait::delay(Interval->QuadPart, manner_of(WaitMode, Alertable));
}

BOOLEAN NTAPI KeAlertThread(PKTHREAD Thread, KPROCESSOR_MODE AlertMode) {
  KDPC_ROUTINE(KeAlertThread);
  return wait::alert(as_thread(Thread), AlertMode != KernelMode);
}

}  // extern "C"
