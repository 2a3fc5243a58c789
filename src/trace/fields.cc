#include "trace/fields.h"

namespace kdpc {

std::string_view name_of(ActivityKind kind) {
  switch (kind) {
    case ActivityKind::Isr: return "isr";
    case ActivityKind::Dpc: return "dpc";
    case ActivityKind::TimerDpc: return "timer-dpc";
    case ActivityKind::SynchronizedRoutine: return "synchronized-routine";
    case ActivityKind::ClockInterrupt: return "clock-interrupt";
    case ActivityKind::IpiInterrupt: return "ipi-interrupt";
    case ActivityKind::WorkItem: return "work-item";
    case ActivityKind::DriverRoutine: return "driver-routine";
    case ActivityKind::ThreadedDpc: return "threaded-dpc";
    case ActivityKind::BroadcastRoutine: return "broadcast-routine";
  }
  return "?";
}

std::string_view name_of(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::Dpc: return "dpc";
    case ObjectKind::Timer: return "timer";
    case ObjectKind::Event: return "event";
    case ObjectKind::Semaphore: return "semaphore";
    case ObjectKind::WorkItem: return "work-item";
  }
  return "?";
}

std::string_view name_of(LockKind kind) {
  switch (kind) {
    case LockKind::Spin: return "spin";
    case LockKind::Interrupt: return "interrupt";
    case LockKind::Cancel: return "cancel";
    case LockKind::System: return "system";
    case LockKind::Queued: return "queued";
    case LockKind::ReaderWriter: return "reader-writer";
    case LockKind::Push: return "push";
  }
  return "?";
}

std::string_view name_of(LockForm form) {
  switch (form) {
    case LockForm::Kernel: return "kernel";
    case LockForm::RaiseToDpc: return "raise-to-dpc";
    case LockForm::RaiseToSynch: return "raise-to-synch";
    case LockForm::AtDpcLevel: return "at-dpc-level";
    case LockForm::ForDpc: return "for-dpc";
    case LockForm::Try: return "try";
    case LockForm::List: return "list";
    case LockForm::Convert: return "convert";
  }
  return "?";
}

std::string_view name_of(WaitReason reason) {
  switch (reason) {
    case WaitReason::Executive: return "executive";
    case WaitReason::Delay: return "delay";
    case WaitReason::QuantumEnd: return "quantum-end";
    case WaitReason::Preempted: return "preempted";
    case WaitReason::Ended: return "ended";
    case WaitReason::Worker: return "worker";
    case WaitReason::Yield: return "yield";
  }
  return "?";
}

std::string_view name_of(const Event& event) {
  return std::visit([](const auto& fact) { return std::string_view(fact.name); }, event);
}

}  // namespace kdpc
