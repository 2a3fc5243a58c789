#include "kernel/rundown.h"

#include "kernel/pool.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

// The cache-aware form spreads the count over the processors' caches; how, nobody can see, and here it is one count with a line to itself.
struct alignas(64) _EX_RUNDOWN_REF_CACHE_AWARE {
  RundownReference reference;
};

extern "C" {

VOID NTAPI ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
  KDPC_ROUTINE(ExInitializeRundownProtection);
  as_rundown(RunRef).initialize();
}

BOOLEAN NTAPI ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef) {
  KDPC_ROUTINE(ExAcquireRundownProtection);
  return as_rundown(RunRef).acquire(1);
}

BOOLEAN NTAPI ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count) {
  KDPC_ROUTINE(ExAcquireRundownProtectionEx);
  return as_rundown(RunRef).acquire(Count);
}

VOID NTAPI ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef) {
  KDPC_ROUTINE(ExReleaseRundownProtection);
  as_rundown(RunRef).release(1);
}

VOID NTAPI ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count) {
  KDPC_ROUTINE(ExReleaseRundownProtectionEx);
  as_rundown(RunRef).release(Count);
}

VOID NTAPI ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef) {
  KDPC_ROUTINE(ExWaitForRundownProtectionRelease);
  as_rundown(RunRef).wait_for_release();
}

VOID NTAPI ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef) {
  KDPC_ROUTINE(ExReInitializeRundownProtection);
  as_rundown(RunRef).reinitialize();
}

VOID NTAPI ExRundownCompleted(PEX_RUNDOWN_REF RunRef) {
  KDPC_ROUTINE(ExRundownCompleted);
  as_rundown(RunRef).completed();
}

PEX_RUNDOWN_REF_CACHE_AWARE NTAPI ExAllocateCacheAwareRundownProtection(POOL_TYPE PoolType, ULONG PoolTag) {
  KDPC_ROUTINE(ExAllocateCacheAwareRundownProtection);
  KDPC_MAY_FAIL(ExAllocateCacheAwareRundownProtection, nullptr);
  auto* created = static_cast<PEX_RUNDOWN_REF_CACHE_AWARE>(sys().pool.allocate(sizeof(_EX_RUNDOWN_REF_CACHE_AWARE), PoolTag,
                                                                               (PoolType & 1) != 0 ? kdpc::PoolType::Paged : kdpc::PoolType::NonPaged,
                                                                               reinterpret_cast<std::uintptr_t>(__builtin_return_address(0))));
  if (created != nullptr) created->reference.initialize();
  return created;
}

VOID NTAPI ExFreeCacheAwareRundownProtection(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
  KDPC_ROUTINE(ExFreeCacheAwareRundownProtection);
  sys().pool.free(RunRefCacheAware, 0, reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}

SIZE_T NTAPI ExSizeOfRundownProtectionCacheAware() {
  KDPC_ROUTINE(ExSizeOfRundownProtectionCacheAware);
  return sizeof(_EX_RUNDOWN_REF_CACHE_AWARE);
}

VOID NTAPI ExInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware, SIZE_T) {
  KDPC_ROUTINE(ExInitializeRundownProtectionCacheAware);
  RunRefCacheAware->reference.initialize();
}

BOOLEAN NTAPI ExAcquireRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
  KDPC_ROUTINE(ExAcquireRundownProtectionCacheAware);
  return RunRefCacheAware->reference.acquire(1);
}

BOOLEAN NTAPI ExAcquireRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware, ULONG Count) {
  KDPC_ROUTINE(ExAcquireRundownProtectionCacheAwareEx);
  return RunRefCacheAware->reference.acquire(Count);
}

VOID NTAPI ExReleaseRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
  KDPC_ROUTINE(ExReleaseRundownProtectionCacheAware);
  RunRefCacheAware->reference.release(1);
}

VOID NTAPI ExReleaseRundownProtectionCacheAwareEx(PEX_RUNDOWN_REF_CACHE_AWARE RunRef, ULONG Count) {
  KDPC_ROUTINE(ExReleaseRundownProtectionCacheAwareEx);
  RunRef->reference.release(Count);
}

VOID NTAPI ExWaitForRundownProtectionReleaseCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRef) {
  KDPC_ROUTINE(ExWaitForRundownProtectionReleaseCacheAware);
  RunRef->reference.wait_for_release();
}

VOID NTAPI ExReInitializeRundownProtectionCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
  KDPC_ROUTINE(ExReInitializeRundownProtectionCacheAware);
  RunRefCacheAware->reference.reinitialize();
}

VOID NTAPI ExRundownCompletedCacheAware(PEX_RUNDOWN_REF_CACHE_AWARE RunRefCacheAware) {
  KDPC_ROUTINE(ExRundownCompletedCacheAware);
  RunRefCacheAware->reference.completed();
}

}  // extern "C"
