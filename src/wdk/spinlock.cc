#include "kernel/spinlock.h"

#include "kernel/bugcheck.h"
#include "kernel/queued_lock.h"
#include "kernel/system.h"
#include "kernel/threaded_dpc.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// Only a free build comes to a raising form above its level: there the level drops to it, as NT's store to CR8 does (IRQL-7).
KIRQL acquire_at(Irql level, PKSPIN_LOCK lock, LockForm form) NO_PERMISSION_CHECK {
  const Irql previous = raise_for_driver(level);
  as_lock(lock).acquire_here(LockKind::Spin, form);
  return static_cast<KIRQL>(previous);
}

void acquire_queued_at(Irql level, PKSPIN_LOCK lock, PKLOCK_QUEUE_HANDLE handle, LockForm form) {
  const Irql previous = raise_for_driver(level);
  LockQueue::acquire_here(as_lock(lock), as_handle(handle), form);
  handle->OldIrql = static_cast<KIRQL>(previous);  // as with ordinary locks, only when the lock is owned (LCK-1)
}

// THR-4: a threaded DPC raises where it must. In every other context these are the AtDpcLevel forms, which an ordinary thread must not use: it
// would hold the lock while it can be preempted.
void refuse_for_dpc(Irql level, const void* lock, std::uint64_t subcode) {
  constexpr const char* kSentence =
      "A spin lock routine for DPCs was called below DISPATCH_LEVEL, where it neither raises the level nor expects it raised: outside a threaded "
      "DPC, "
      "or to release a lock after the level was lowered.";
  switch (sys().options.irql_checks) {
    case Options::IrqlChecks::Strict:
      bug_check(stop::DriverVerifierDetectedViolation, {subcode, as_parameter(level), as_parameter(lock), 0}, kSentence, "THR-4");
    case Options::IrqlChecks::Checked:
      bug_check(stop::IrqlNotGreaterOrEqual, {as_parameter(level), as_parameter(Irql::Dispatch), as_parameter(lock), 0}, kSentence, "THR-4");
    case Options::IrqlChecks::Free: return;
  }
}

KIRQL raise_for_dpc(const void* lock) {
  const Irql previous = current_irql();
  if (previous < Irql::Dispatch) {
    if (threaded_dpc::running_here()) {
      raise_for_driver(Irql::Dispatch);
    } else {
      refuse_for_dpc(previous, lock, 0x40);
    }
  }
  return static_cast<KIRQL>(previous);
}

void check_release_for_dpc(const void* lock) {
  if (const Irql level = current_irql(); level < Irql::Dispatch) refuse_for_dpc(level, lock, 0x41);
}

void lower_for_dpc(KIRQL previous) {
  if (static_cast<Irql>(previous) < current_irql()) lower_for_driver(static_cast<Irql>(previous));
}

}  // namespace

extern "C" {

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE(KeInitializeSpinLock);
  as_lock(SpinLock).initialize_for_driver();
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(KeAcquireSpinLockRaiseToDpc, SpinLock);
  return acquire_at(Irql::Dispatch, SpinLock, LockForm::RaiseToDpc);
}

KIRQL NTAPI KeAcquireSpinLockRaiseToSynch(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(KeAcquireSpinLockRaiseToSynch, SpinLock);
  return acquire_at(Irql::Synch, SpinLock, LockForm::RaiseToSynch);
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeReleaseSpinLock, SpinLock);
  as_lock(SpinLock).release_here(LockKind::Spin, LockForm::RaiseToDpc);
  lower_for_driver(static_cast<Irql>(NewIrql));
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeAcquireSpinLockAtDpcLevel, SpinLock);
  as_lock(SpinLock).acquire_here(LockKind::Spin, LockForm::AtDpcLevel);
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeReleaseSpinLockFromDpcLevel, SpinLock);
  as_lock(SpinLock).release_here(LockKind::Spin, LockForm::AtDpcLevel);
}

BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(KeTryToAcquireSpinLockAtDpcLevel, SpinLock);
  return as_lock(SpinLock).try_acquire_here(LockKind::Spin, LockForm::Try);
}

BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE(KeTestSpinLock);
  return as_lock(SpinLock).is_free();
}

VOID NTAPI KeAcquireInStackQueuedSpinLock(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
  KDPC_ROUTINE_ON(KeAcquireInStackQueuedSpinLock, SpinLock);
  acquire_queued_at(Irql::Dispatch, SpinLock, LockHandle, LockForm::RaiseToDpc);
}

VOID NTAPI KeReleaseInStackQueuedSpinLock(PKLOCK_QUEUE_HANDLE LockHandle) {
  KDPC_ROUTINE_WITH(KeReleaseInStackQueuedSpinLock, LockQueue::lock_of(as_handle(LockHandle)), LockHandle->OldIrql);
  const KIRQL previous = LockHandle->OldIrql;  // the handle is another acquisition's as soon as the lock is free
  LockQueue::release_here(as_handle(LockHandle), LockForm::RaiseToDpc);
  lower_for_driver(static_cast<Irql>(previous));
}

VOID NTAPI KeAcquireInStackQueuedSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
  KDPC_ROUTINE_ON(KeAcquireInStackQueuedSpinLockAtDpcLevel, SpinLock);
  LockQueue::acquire_here(as_lock(SpinLock), as_handle(LockHandle), LockForm::AtDpcLevel);
}

VOID NTAPI KeReleaseInStackQueuedSpinLockFromDpcLevel(PKLOCK_QUEUE_HANDLE LockHandle) {
  KDPC_ROUTINE_ON(KeReleaseInStackQueuedSpinLockFromDpcLevel, LockQueue::lock_of(as_handle(LockHandle)));
  LockQueue::release_here(as_handle(LockHandle), LockForm::AtDpcLevel);
}

KIRQL NTAPI KeAcquireSpinLockForDpc(PKSPIN_LOCK SpinLock) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeAcquireSpinLockForDpc, SpinLock);
  const KIRQL previous = raise_for_dpc(SpinLock);
  as_lock(SpinLock).acquire_here(LockKind::Spin, LockForm::ForDpc);
  return previous;
}

VOID NTAPI KeReleaseSpinLockForDpc(PKSPIN_LOCK SpinLock, KIRQL OldIrql) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeReleaseSpinLockForDpc, SpinLock);
  check_release_for_dpc(SpinLock);
  as_lock(SpinLock).release_here(LockKind::Spin, LockForm::ForDpc);
  lower_for_dpc(OldIrql);
}

VOID NTAPI KeAcquireInStackQueuedSpinLockForDpc(PKSPIN_LOCK SpinLock, PKLOCK_QUEUE_HANDLE LockHandle) {
  KDPC_ROUTINE_ON(KeAcquireInStackQueuedSpinLockForDpc, SpinLock);
  const KIRQL previous = raise_for_dpc(SpinLock);
  LockQueue::acquire_here(as_lock(SpinLock), as_handle(LockHandle), LockForm::ForDpc);
  LockHandle->OldIrql = previous;
}

VOID NTAPI KeReleaseInStackQueuedSpinLockForDpc(PKLOCK_QUEUE_HANDLE LockHandle) {
  KDPC_ROUTINE_ON(KeReleaseInStackQueuedSpinLockForDpc, LockQueue::lock_of(as_handle(LockHandle)));
  check_release_for_dpc(LockQueue::lock_of(as_handle(LockHandle)));
  const KIRQL previous = LockHandle->OldIrql;
  LockQueue::release_here(as_handle(LockHandle), LockForm::ForDpc);
  lower_for_dpc(previous);
}

}  // extern "C"
