// The end of a run that a driver caused: NT's stop code and parameters, and what a person needs to understand it.
#pragma once
#include <cstdint>

#include "kernel/irql.h"

namespace kdpc {

namespace stop {
enum Code : std::uint32_t {
  ApcIndexMismatch = 0x01,
  IrqlNotGreaterOrEqual = 0x09,
  IrqlNotLessOrEqual = 0x0A,
  MaximumWaitObjectsExceeded = 0x0C,
  SpinLockAlreadyOwned = 0x0F,
  SpinLockNotOwned = 0x10,
  ReferenceByPointer = 0x18,
  BadPoolHeader = 0x19,
  KmodeExceptionNotHandled = 0x1E,
  KernelApcPendingDuringExit = 0x20,
  NoMoreIrpStackLocations = 0x35,
  SystemExitOwnedMutex = 0x39,
  InterruptExceptionNotHandled = 0x3D,
  TargetMdlTooSmall = 0x40,
  MultipleIrpCompleteRequests = 0x44,
  CancelStateInCompletedIrp = 0x48,
  PageFaultInNonpagedArea = 0x50,
  UnexpectedKernelModeTrap = 0x7F,
  DriverPowerStateFailure = 0x9F,
  AttemptedSwitchFromDpc = 0xB8,
  BadPoolCaller = 0xC2,
  DriverVerifierDetectedViolation = 0xC4,
  TimerOrDpcInvalid = 0xC7,
  IrqlUnexpectedValue = 0xC8,
  DriverVerifierIoManagerViolation = 0xC9,
  PageFaultInFreedSpecialPool = 0xCC,
  PageFaultBeyondEndOfAllocation = 0xCD,
  DriverUnloadedWithoutCancellingPendingOperations = 0xCE,
  DriverIrqlNotLessOrEqual = 0xD1,
  SystemScanAtRaisedIrqlCaughtImproperDriverUnload = 0xD4,
  WorkerThreadReturnedAtBadIrql = 0xE1,
  ResourceNotOwned = 0xE3,
  WorkerInvalid = 0xE4,
  DriverVerifierDmaViolation = 0xE6,
  ActiveExWorkerThreadTermination = 0xE9,
  HardwareInterruptStorm = 0xF2,
  ClockWatchdogTimeout = 0x101,
  DpcWatchdogTimeout = 0x102,
  InvalidExtendedProcessorState = 0x131,
  DpcWatchdogViolation = 0x133,
  KernelSecurityCheckFailure = 0x139,
  PassiveInterruptError = 0x13B,
  IpiWatchdogTimeout = 0x1DB,
  ThreadTerminateHeldMutex = 0x4000008A,
};
}

struct StopParameters {
  std::uint64_t p1 = 0, p2 = 0, p3 = 0, p4 = 0;
};

inline constexpr unsigned kMaxFrames = 32;

struct BugcheckReport {
  std::uint32_t code;
  StopParameters parameters;
  const char* sentence;  // one sentence for people, static storage
  const char* rule;      // SEMANTICS rule id, or DDI rule name
  std::uint16_t processor;
  Irql irql;                          // at the moment of the failure
  std::uint32_t thread;               // the running, or borrowed, thread
  std::uintptr_t frames[kMaxFrames];  // return addresses, innermost first; 0 ends
};

const char* name_of_stop(std::uint32_t code);

// Any level, any lock held. Stops the machine; nothing is unwound.
[[noreturn]] void bug_check(std::uint32_t code, StopParameters parameters, const char* sentence, const char* rule);

template <class T>
std::uint64_t as_parameter(T* pointer) {
  return reinterpret_cast<std::uint64_t>(pointer);
}
constexpr std::uint64_t as_parameter(Irql level) { return static_cast<std::uint64_t>(level); }

}  // namespace kdpc
