#include "kernel/fast_mutex.h"

#include "kernel/apc.h"
#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// The unsafe forms leave it to the caller to keep APCs off (0xC4/0x39, 0x3A).
void check_apcs_off(std::uint64_t subcode, const FAST_MUTEX* mutex) {
  apc::check_normal_off(subcode, mutex, "A fast mutex was acquired or released by an unsafe form while APCs are not disabled.", "IRQL-7");
}

}  // namespace

extern "C" {

VOID NTAPI ExAcquireFastMutex(PFAST_MUTEX FastMutex) {
  KDPC_ROUTINE_ON(ExAcquireFastMutex, FastMutex);
  const Irql old = raise_for_driver(Irql::Apc);
  fast_mutex::acquire(as_fast_mutex(FastMutex));
  FastMutex->OldIrql = static_cast<ULONG>(old);
}

BOOLEAN NTAPI ExTryToAcquireFastMutex(PFAST_MUTEX FastMutex) {
  KDPC_ROUTINE_ON(ExTryToAcquireFastMutex, FastMutex);
  const Irql old = raise_for_driver(Irql::Apc);
  if (!fast_mutex::try_acquire(as_fast_mutex(FastMutex))) {
    lower_for_driver(old);
    return FALSE;
  }
  FastMutex->OldIrql = static_cast<ULONG>(old);
  return TRUE;
}

VOID NTAPI ExReleaseFastMutex(PFAST_MUTEX FastMutex) {
  KDPC_ROUTINE_ON(ExReleaseFastMutex, FastMutex);
  const Irql old = static_cast<Irql>(FastMutex->OldIrql);
  fast_mutex::release(as_fast_mutex(FastMutex));
  lower_for_driver(old);
}

VOID NTAPI ExAcquireFastMutexUnsafe(PFAST_MUTEX FastMutex) {
  KDPC_ROUTINE_ON(ExAcquireFastMutexUnsafe, FastMutex);
  check_apcs_off(0x39, FastMutex);
  fast_mutex::acquire(as_fast_mutex(FastMutex));
}

VOID NTAPI ExReleaseFastMutexUnsafe(PFAST_MUTEX FastMutex) {
  KDPC_ROUTINE_ON(ExReleaseFastMutexUnsafe, FastMutex);
  check_apcs_off(0x3A, FastMutex);
  fast_mutex::release(as_fast_mutex(FastMutex));
}

// Guarded mutexes: the same, with a guarded region instead of the level.
VOID NTAPI KeInitializeGuardedMutex(PKGUARDED_MUTEX Mutex) {
  KDPC_ROUTINE(KeInitializeGuardedMutex);
  fast_mutex::initialize(as_fast_mutex(Mutex));
}

VOID NTAPI KeAcquireGuardedMutex(PKGUARDED_MUTEX Mutex) {
  KDPC_ROUTINE_ON(KeAcquireGuardedMutex, Mutex);
  apc::enter_guarded_region();
  fast_mutex::acquire(as_fast_mutex(Mutex));
}

BOOLEAN NTAPI KeTryToAcquireGuardedMutex(PKGUARDED_MUTEX Mutex) {
  KDPC_ROUTINE_ON(KeTryToAcquireGuardedMutex, Mutex);
  apc::enter_guarded_region();
  if (fast_mutex::try_acquire(as_fast_mutex(Mutex))) return TRUE;
  static_cast<void>(apc::leave_guarded_region());
  return FALSE;
}

VOID NTAPI KeReleaseGuardedMutex(PKGUARDED_MUTEX Mutex) {
  KDPC_ROUTINE_ON(KeReleaseGuardedMutex, Mutex);
  fast_mutex::release(as_fast_mutex(Mutex));
  if (!apc::leave_guarded_region() && sys().options.irql_checks == Options::IrqlChecks::Strict)
    bug_check(stop::DriverVerifierDetectedViolation, {0x3E, 0, 0, 0}, "A guarded mutex was released outside of the guarded region it began.",
              "IRQL-7");
}

VOID NTAPI KeAcquireGuardedMutexUnsafe(PKGUARDED_MUTEX Mutex) {
  KDPC_ROUTINE_ON(KeAcquireGuardedMutexUnsafe, Mutex);
  check_apcs_off(0x39, Mutex);
  fast_mutex::acquire(as_fast_mutex(Mutex));
}

VOID NTAPI KeReleaseGuardedMutexUnsafe(PKGUARDED_MUTEX Mutex) {
  KDPC_ROUTINE_ON(KeReleaseGuardedMutexUnsafe, Mutex);
  check_apcs_off(0x3A, Mutex);
  fast_mutex::release(as_fast_mutex(Mutex));
}

}  // extern "C"
