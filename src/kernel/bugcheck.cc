#include "kernel/bugcheck.h"

#include "kernel/system.h"
#include "this_machine.h"

namespace kdpc {

const char* name_of_stop(std::uint32_t code) {
  switch (code) {
    case stop::ApcIndexMismatch: return "APC_INDEX_MISMATCH";
    case stop::IrqlNotGreaterOrEqual: return "IRQL_NOT_GREATER_OR_EQUAL";
    case stop::IrqlNotLessOrEqual: return "IRQL_NOT_LESS_OR_EQUAL";
    case stop::MaximumWaitObjectsExceeded: return "MAXIMUM_WAIT_OBJECTS_EXCEEDED";
    case stop::SpinLockAlreadyOwned: return "SPIN_LOCK_ALREADY_OWNED";
    case stop::SpinLockNotOwned: return "SPIN_LOCK_NOT_OWNED";
    case stop::ReferenceByPointer: return "REFERENCE_BY_POINTER";
    case stop::BadPoolHeader: return "BAD_POOL_HEADER";
    case stop::KmodeExceptionNotHandled: return "KMODE_EXCEPTION_NOT_HANDLED";
    case stop::KernelApcPendingDuringExit: return "KERNEL_APC_PENDING_DURING_EXIT";
    case stop::NoMoreIrpStackLocations: return "NO_MORE_IRP_STACK_LOCATIONS";
    case stop::SystemExitOwnedMutex: return "SYSTEM_EXIT_OWNED_MUTEX";
    case stop::InterruptExceptionNotHandled: return "INTERRUPT_EXCEPTION_NOT_HANDLED";
    case stop::TargetMdlTooSmall: return "TARGET_MDL_TOO_SMALL";
    case stop::MultipleIrpCompleteRequests: return "MULTIPLE_IRP_COMPLETE_REQUESTS";
    case stop::CancelStateInCompletedIrp: return "CANCEL_STATE_IN_COMPLETED_IRP";
    case stop::PageFaultInNonpagedArea: return "PAGE_FAULT_IN_NONPAGED_AREA";
    case stop::UnexpectedKernelModeTrap: return "UNEXPECTED_KERNEL_MODE_TRAP";
    case stop::DriverPowerStateFailure: return "DRIVER_POWER_STATE_FAILURE";
    case stop::AttemptedSwitchFromDpc: return "ATTEMPTED_SWITCH_FROM_DPC";
    case stop::BadPoolCaller: return "BAD_POOL_CALLER";
    case stop::DriverVerifierDetectedViolation: return "DRIVER_VERIFIER_DETECTED_VIOLATION";
    case stop::TimerOrDpcInvalid: return "TIMER_OR_DPC_INVALID";
    case stop::IrqlUnexpectedValue: return "IRQL_UNEXPECTED_VALUE";
    case stop::DriverVerifierIoManagerViolation: return "DRIVER_VERIFIER_IOMANAGER_VIOLATION";
    case stop::PageFaultInFreedSpecialPool: return "PAGE_FAULT_IN_FREED_SPECIAL_POOL";
    case stop::PageFaultBeyondEndOfAllocation: return "PAGE_FAULT_BEYOND_END_OF_ALLOCATION";
    case stop::DriverUnloadedWithoutCancellingPendingOperations: return "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS";
    case stop::DriverIrqlNotLessOrEqual: return "DRIVER_IRQL_NOT_LESS_OR_EQUAL";
    case stop::SystemScanAtRaisedIrqlCaughtImproperDriverUnload: return "SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD";
    case stop::WorkerThreadReturnedAtBadIrql: return "WORKER_THREAD_RETURNED_AT_BAD_IRQL";
    case stop::ResourceNotOwned: return "RESOURCE_NOT_OWNED";
    case stop::WorkerInvalid: return "WORKER_INVALID";
    case stop::DriverVerifierDmaViolation: return "DRIVER_VERIFIER_DMA_VIOLATION";
    case stop::ActiveExWorkerThreadTermination: return "ACTIVE_EX_WORKER_THREAD_TERMINATION";
    case stop::HardwareInterruptStorm: return "HARDWARE_INTERRUPT_STORM";
    case stop::ClockWatchdogTimeout: return "CLOCK_WATCHDOG_TIMEOUT";
    case stop::DpcWatchdogTimeout: return "DPC_WATCHDOG_TIMEOUT";
    case stop::InvalidExtendedProcessorState: return "INVALID_EXTENDED_PROCESSOR_STATE";
    case stop::DpcWatchdogViolation: return "DPC_WATCHDOG_VIOLATION";
    case stop::KernelSecurityCheckFailure: return "KERNEL_SECURITY_CHECK_FAILURE";
    case stop::PassiveInterruptError: return "PASSIVE_INTERRUPT_ERROR";
    case stop::IpiWatchdogTimeout: return "IPI_WATCHDOG_TIMEOUT";
    case stop::ThreadTerminateHeldMutex: return "THREAD_TERMINATE_HELD_MUTEX";
    default: return "driver-defined stop code";
  }
}

void bug_check(std::uint32_t code, StopParameters parameters, const char* sentence, const char* rule) {
  const Irql irql = Machine::irql();
  if (irql < Irql::High) Machine::set_irql(Irql::High);
  const Processor& self = Machine::here();
  Machine::observe(Bugchecked{code, parameters.p1, parameters.p2, parameters.p3, parameters.p4});
  BugcheckReport report{code, parameters, sentence, rule, self.number, irql, self.current_thread != nullptr ? self.current_thread->id : 0, {}};
  Machine::stop(report);
  __builtin_unreachable();
}

}  // namespace kdpc
