#include "kernel/spinlock.h"

#include "kernel/interrupt.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

extern "C" {

VOID NTAPI KeInitializeSpinLock(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE(KeInitializeSpinLock);
  as_lock(SpinLock).initialize();
}

KIRQL NTAPI KeAcquireSpinLockRaiseToDpc(PKSPIN_LOCK SpinLock) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeAcquireSpinLockRaiseToDpc, SpinLock);
  // Only a free build comes here above DISPATCH_LEVEL: there the level drops to it, as NT's store to CR8 does (IRQL-7).
  const Irql previous = raise_for_driver(Irql::Dispatch);
  as_lock(SpinLock).acquire_here();
  return static_cast<KIRQL>(previous);
}

VOID NTAPI KeReleaseSpinLock(PKSPIN_LOCK SpinLock, KIRQL NewIrql) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeReleaseSpinLock, SpinLock);
  as_lock(SpinLock).release_here();
  lower_for_driver(static_cast<Irql>(NewIrql));
}

VOID NTAPI KeAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeAcquireSpinLockAtDpcLevel, SpinLock);
  as_lock(SpinLock).acquire_here();
}

VOID NTAPI KeReleaseSpinLockFromDpcLevel(PKSPIN_LOCK SpinLock) NO_PERMISSION_CHECK {
  KDPC_ROUTINE_ON(KeReleaseSpinLockFromDpcLevel, SpinLock);
  as_lock(SpinLock).release_here();
}

BOOLEAN NTAPI KeTryToAcquireSpinLockAtDpcLevel(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE_ON(KeTryToAcquireSpinLockAtDpcLevel, SpinLock);
  return as_lock(SpinLock).try_acquire_here();
}

BOOLEAN NTAPI KeTestSpinLock(PKSPIN_LOCK SpinLock) {
  KDPC_ROUTINE(KeTestSpinLock);
  return as_lock(SpinLock).is_free();
}

}  // extern "C"
