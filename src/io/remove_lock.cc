// Remove locks: a count of who uses a device, begun at one for the device itself; the last one to leave after removal wakes the remover.
#include "io/manager.h"
#include "this_machine.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

IO_REMOVE_LOCK_COMMON_BLOCK& common(PIO_REMOVE_LOCK lock) { return lock->Common; }

// What its user has done is over for whoever removes the device.
void leave(IO_REMOVE_LOCK_COMMON_BLOCK& block) {
  Machine::observe(OrderReleased{&block});
  if (__atomic_sub_fetch(&block.IoCount, 1, __ATOMIC_SEQ_CST) == 0) wait::set_event(wdk::as_event(&block.RemoveEvent), IO_NO_INCREMENT);
}

}  // namespace

extern "C" {

VOID NTAPI IoInitializeRemoveLockEx(PIO_REMOVE_LOCK Lock, ULONG, ULONG, ULONG, ULONG) {
  KDPC_ROUTINE(IoInitializeRemoveLockEx);
  common(Lock).Removed = FALSE;
  common(Lock).IoCount = 1;
  wait::initialize_event(wdk::as_event(&common(Lock).RemoveEvent), ObjectType::SynchronizationEvent, false);
}

NTSTATUS NTAPI IoAcquireRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID, PCSTR, ULONG, ULONG) {
  KDPC_ROUTINE(IoAcquireRemoveLockEx);
  __atomic_add_fetch(&common(RemoveLock).IoCount, 1, __ATOMIC_SEQ_CST);
  if (!common(RemoveLock).Removed) return STATUS_SUCCESS;
  leave(common(RemoveLock));
  return STATUS_DELETE_PENDING;
}

VOID NTAPI IoReleaseRemoveLockEx(PIO_REMOVE_LOCK RemoveLock, PVOID, ULONG) {
  KDPC_ROUTINE(IoReleaseRemoveLockEx);
  leave(common(RemoveLock));
}

VOID NTAPI IoReleaseRemoveLockAndWaitEx(PIO_REMOVE_LOCK RemoveLock, PVOID, ULONG) {
  KDPC_ROUTINE(IoReleaseRemoveLockAndWaitEx);
  common(RemoveLock).Removed = TRUE;
  // The caller's own use, then the device's own.
  leave(common(RemoveLock));
  if (__atomic_sub_fetch(&common(RemoveLock).IoCount, 1, __ATOMIC_SEQ_CST) > 0)
    wait::for_object(wdk::as_event(&common(RemoveLock).RemoveEvent).header, nullptr);
  Machine::observe(OrderAcquired{&common(RemoveLock)});
}

}  // extern "C"
