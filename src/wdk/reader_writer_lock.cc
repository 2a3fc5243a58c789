#include "kernel/reader_writer_lock.h"

#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

extern "C" {

KIRQL NTAPI ExAcquireSpinLockExclusive(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExAcquireSpinLockExclusive, const_cast<LONG*>(SpinLock));
  const Irql previous = raise_for_driver(Irql::Dispatch);
  as_reader_writer_lock(SpinLock).acquire_exclusive_here(LockForm::RaiseToDpc);
  return static_cast<KIRQL>(previous);
}

KIRQL NTAPI ExAcquireSpinLockShared(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExAcquireSpinLockShared, const_cast<LONG*>(SpinLock));
  const Irql previous = raise_for_driver(Irql::Dispatch);
  as_reader_writer_lock(SpinLock).acquire_shared_here(LockForm::RaiseToDpc);
  return static_cast<KIRQL>(previous);
}

VOID NTAPI ExReleaseSpinLockExclusive(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
  KDPC_ROUTINE_ON(ExReleaseSpinLockExclusive, const_cast<LONG*>(SpinLock));
  as_reader_writer_lock(SpinLock).release_exclusive_here(LockForm::RaiseToDpc);
  lower_for_driver(static_cast<Irql>(OldIrql));
}

VOID NTAPI ExReleaseSpinLockShared(PEX_SPIN_LOCK SpinLock, KIRQL OldIrql) {
  KDPC_ROUTINE_ON(ExReleaseSpinLockShared, const_cast<LONG*>(SpinLock));
  as_reader_writer_lock(SpinLock).release_shared_here(LockForm::RaiseToDpc);
  lower_for_driver(static_cast<Irql>(OldIrql));
}

VOID NTAPI ExAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExAcquireSpinLockExclusiveAtDpcLevel, const_cast<LONG*>(SpinLock));
  as_reader_writer_lock(SpinLock).acquire_exclusive_here(LockForm::AtDpcLevel);
}

VOID NTAPI ExAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExAcquireSpinLockSharedAtDpcLevel, const_cast<LONG*>(SpinLock));
  as_reader_writer_lock(SpinLock).acquire_shared_here(LockForm::AtDpcLevel);
}

VOID NTAPI ExReleaseSpinLockExclusiveFromDpcLevel(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExReleaseSpinLockExclusiveFromDpcLevel, const_cast<LONG*>(SpinLock));
  as_reader_writer_lock(SpinLock).release_exclusive_here(LockForm::AtDpcLevel);
}

VOID NTAPI ExReleaseSpinLockSharedFromDpcLevel(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExReleaseSpinLockSharedFromDpcLevel, const_cast<LONG*>(SpinLock));
  as_reader_writer_lock(SpinLock).release_shared_here(LockForm::AtDpcLevel);
}

LOGICAL NTAPI ExTryConvertSharedSpinLockExclusive(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExTryConvertSharedSpinLockExclusive, const_cast<LONG*>(SpinLock));
  return as_reader_writer_lock(SpinLock).try_convert_here();
}

LOGICAL NTAPI ExTryAcquireSpinLockExclusiveAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExTryAcquireSpinLockExclusiveAtDpcLevel, const_cast<LONG*>(SpinLock));
  return as_reader_writer_lock(SpinLock).try_acquire_exclusive_here();
}

LOGICAL NTAPI ExTryAcquireSpinLockSharedAtDpcLevel(PEX_SPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(ExTryAcquireSpinLockSharedAtDpcLevel, const_cast<LONG*>(SpinLock));
  return as_reader_writer_lock(SpinLock).try_acquire_shared_here();
}

}  // extern "C"
