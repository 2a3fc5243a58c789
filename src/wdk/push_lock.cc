#include "kernel/push_lock.h"

#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

// The flags choose among optimisations of NT's; there is nothing to choose here.
extern "C" {

VOID NTAPI ExInitializePushLock(PEX_PUSH_LOCK PushLock) {
  KDPC_ROUTINE(ExInitializePushLock);
  as_push_lock(PushLock).initialize();
}

VOID NTAPI ExAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExAcquirePushLockExclusiveEx);
  as_push_lock(PushLock).acquire(false);
}

VOID NTAPI ExAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExAcquirePushLockSharedEx);
  as_push_lock(PushLock).acquire(true);
}

BOOLEAN NTAPI ExTryAcquirePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExTryAcquirePushLockExclusiveEx);
  return as_push_lock(PushLock).try_acquire(false);
}

BOOLEAN NTAPI ExTryAcquirePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExTryAcquirePushLockSharedEx);
  return as_push_lock(PushLock).try_acquire(true);
}

VOID NTAPI ExReleasePushLockExclusiveEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExReleasePushLockExclusiveEx);
  as_push_lock(PushLock).release(false);
}

VOID NTAPI ExReleasePushLockSharedEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExReleasePushLockSharedEx);
  as_push_lock(PushLock).release(true);
}

VOID NTAPI ExReleasePushLockEx(PEX_PUSH_LOCK PushLock, ULONG) {
  KDPC_ROUTINE(ExReleasePushLockEx);
  as_push_lock(PushLock).release(!as_push_lock(PushLock).is_held_exclusive());
}

}  // extern "C"
