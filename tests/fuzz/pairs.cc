#include "tests/fuzz/pairs.h"

#include <string_view>

namespace kdpc::fuzz {

namespace {

using wdk::RoutineId;

enum class If : std::uint8_t { Always, True, Success };

struct Pair {
  RoutineId takes, gives;
  If when;
  // Of the one that gives: a digit is an argument of the one that takes, r its result, * the level it has stored at argument 0, @ the pointer or
  // handle it has stored, t this thread, p the same as the pointer of an owner, z zero.
  const char* arguments;
};

constexpr Pair kPairs[] = {
#define PAIR(takes, gives, when, arguments) {RoutineId::takes, RoutineId::gives, If::when, arguments},
    // clang-format off
    PAIR(KfRaiseIrql, KeLowerIrql, Always, "r")
    PAIR(KeRaiseIrqlToDpcLevel, KeLowerIrql, Always, "r")
    PAIR(KeRaiseIrqlToSynchLevel, KeLowerIrql, Always, "r")
    PAIR(KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock, Always, "0r")
    PAIR(KeAcquireSpinLockRaiseToSynch, KeReleaseSpinLockFromDpcLevel, Always, "0")
    PAIR(KeAcquireSpinLockAtDpcLevel, KeReleaseSpinLockFromDpcLevel, Always, "0")
    PAIR(KeTryToAcquireSpinLockAtDpcLevel, KeReleaseSpinLockFromDpcLevel, True, "0")
    PAIR(KeAcquireInStackQueuedSpinLock, KeReleaseInStackQueuedSpinLock, Always, "1")
    PAIR(KeAcquireInStackQueuedSpinLockAtDpcLevel, KeReleaseInStackQueuedSpinLockFromDpcLevel, Always, "1")
    PAIR(KeAcquireSpinLockForDpc, KeReleaseSpinLockForDpc, Always, "0r")
    PAIR(KeAcquireInStackQueuedSpinLockForDpc, KeReleaseInStackQueuedSpinLockForDpc, Always, "1")
    PAIR(KeAcquireInterruptSpinLock, KeReleaseInterruptSpinLock, Always, "0r")
    PAIR(ExAcquireSpinLockExclusive, ExReleaseSpinLockExclusive, Always, "0r")
    PAIR(ExAcquireSpinLockShared, ExReleaseSpinLockShared, Always, "0r")
    PAIR(ExAcquireSpinLockShared, ExTryConvertSharedSpinLockExclusive, Always, "0")
    PAIR(ExAcquireSpinLockExclusiveAtDpcLevel, ExReleaseSpinLockExclusiveFromDpcLevel, Always, "0")
    PAIR(ExTryAcquireSpinLockExclusiveAtDpcLevel, ExReleaseSpinLockExclusiveFromDpcLevel, True, "0")
    PAIR(ExAcquireSpinLockSharedAtDpcLevel, ExReleaseSpinLockSharedFromDpcLevel, Always, "0")
    PAIR(ExTryAcquireSpinLockSharedAtDpcLevel, ExReleaseSpinLockSharedFromDpcLevel, True, "0")
    PAIR(KeEnterCriticalRegion, KeLeaveCriticalRegion, Always, "")
    PAIR(KeEnterGuardedRegion, KeLeaveGuardedRegion, Always, "")
    PAIR(ExAcquirePushLockExclusiveEx, ExReleasePushLockExclusiveEx, Always, "01")
    PAIR(ExAcquirePushLockExclusiveEx, ExReleasePushLockEx, Always, "01")
    PAIR(ExAcquirePushLockSharedEx, ExReleasePushLockSharedEx, Always, "01")
    PAIR(ExTryAcquirePushLockExclusiveEx, ExReleasePushLockExclusiveEx, True, "01")
    PAIR(ExTryAcquirePushLockSharedEx, ExReleasePushLockSharedEx, True, "01")
    PAIR(ExAcquireRundownProtection, ExReleaseRundownProtection, True, "0")
    PAIR(ExAcquireRundownProtectionEx, ExReleaseRundownProtectionEx, True, "01")
    PAIR(ExAcquireRundownProtectionCacheAware, ExReleaseRundownProtectionCacheAware, True, "0")
    PAIR(ExAcquireRundownProtectionCacheAwareEx, ExReleaseRundownProtectionCacheAwareEx, True, "01")
    PAIR(ExWaitForRundownProtectionRelease, ExReInitializeRundownProtection, Always, "0")
    PAIR(ExWaitForRundownProtectionReleaseCacheAware, ExReInitializeRundownProtectionCacheAware, Always, "0")
    PAIR(ExRundownCompletedCacheAware, ExReInitializeRundownProtectionCacheAware, Always, "0")
    PAIR(ExAcquireFastMutex, ExReleaseFastMutex, Always, "0")
    PAIR(ExTryToAcquireFastMutex, ExReleaseFastMutex, True, "0")
    PAIR(ExAcquireFastMutexUnsafe, ExReleaseFastMutexUnsafe, Always, "0")
    PAIR(KeAcquireGuardedMutex, KeReleaseGuardedMutex, Always, "0")
    PAIR(KeTryToAcquireGuardedMutex, KeReleaseGuardedMutex, True, "0")
    PAIR(KeAcquireGuardedMutexUnsafe, KeReleaseGuardedMutexUnsafe, Always, "0")
    PAIR(KeInitializeMutant, KeReleaseMutex, Always, "0z")
    PAIR(ExAcquireResourceExclusiveLite, ExReleaseResourceForThreadLite, True, "0t")
    PAIR(ExAcquireResourceExclusiveLite, ExConvertExclusiveToSharedLite, True, "0")
    PAIR(ExAcquireResourceExclusiveLite, ExSetResourceOwnerPointer, True, "0p")
    PAIR(ExAcquireResourceSharedLite, ExReleaseResourceLite, True, "0")
    PAIR(ExAcquireSharedStarveExclusive, ExReleaseResourceLite, True, "0")
    PAIR(ExAcquireSharedWaitForExclusive, ExReleaseResourceLite, True, "0")
    PAIR(ExEnterCriticalRegionAndAcquireResourceExclusive, ExReleaseResourceAndLeaveCriticalRegion, Always, "0")
    PAIR(ExEnterCriticalRegionAndAcquireResourceShared, ExReleaseResourceAndLeaveCriticalRegion, Always, "0")
    PAIR(ExEnterCriticalRegionAndAcquireSharedWaitForExclusive, ExReleaseResourceAndLeaveCriticalRegion, Always, "0")
    PAIR(KeSaveExtendedProcessorState, KeRestoreExtendedProcessorState, Success, "1")
    PAIR(KeRegisterProcessorChangeCallback, KeDeregisterProcessorChangeCallback, True, "r")
    PAIR(IoAcquireCancelSpinLock, IoReleaseCancelSpinLock, Always, "*")
    PAIR(IoAcquireRemoveLockEx, IoReleaseRemoveLockEx, Success, "014")
    PAIR(IoAcquireRemoveLockEx, IoReleaseRemoveLockAndWaitEx, Success, "014")
    PAIR(ExAllocatePool2, ExFreePool, True, "r")
    PAIR(ExAllocatePool, ExFreePool, True, "r")
    PAIR(ExAllocatePoolWithTag, ExFreePoolWithTag, True, "r2")
    PAIR(ExAllocateTimer, ExDeleteTimer, True, "rzzz")
    PAIR(ExAllocateCacheAwareRundownProtection, ExFreeCacheAwareRundownProtection, True, "r")
    PAIR(RtlAnsiStringToUnicodeString, RtlFreeUnicodeString, Success, "0")
    PAIR(RtlUpcaseUnicodeString, RtlFreeUnicodeString, Success, "0")
    PAIR(RtlStringFromGUID, RtlFreeUnicodeString, Success, "1")
    PAIR(RtlUnicodeStringToAnsiString, RtlFreeAnsiString, Success, "0")
    PAIR(IoAllocateErrorLogEntry, IoWriteErrorLogEntry, True, "r")
    PAIR(IoAllocateErrorLogEntry, IoFreeErrorLogEntry, True, "r")
    PAIR(IoAllocateIrp, IoFreeIrp, True, "r")
    PAIR(IoAllocateMdl, IoFreeMdl, True, "r")
    PAIR(IoAllocateWorkItem, IoFreeWorkItem, True, "r")
    PAIR(MmAllocateContiguousMemory, MmFreeContiguousMemory, True, "r")
    PAIR(MmAllocateContiguousMemorySpecifyCache, MmFreeContiguousMemorySpecifyCache, True, "r04")
    PAIR(MmAllocateNonCachedMemory, MmFreeNonCachedMemory, True, "r0")
    PAIR(MmAllocatePagesForMdl, MmFreePagesFromMdl, True, "r")
    PAIR(MmAllocatePagesForMdlEx, MmFreePagesFromMdl, True, "r")
    PAIR(MmMapIoSpace, MmUnmapIoSpace, True, "r1")
    PAIR(MmLockPagableDataSection, MmUnlockPagableImageSection, True, "r")
    PAIR(IoCreateDevice, IoDeleteDevice, Success, "@")
    PAIR(IoConnectInterrupt, IoDisconnectInterrupt, Success, "@")
    PAIR(ObReferenceObjectByHandle, ObfDereferenceObject, Success, "@")
    PAIR(ObfReferenceObject, ObfDereferenceObject, Always, "0")
    PAIR(PsCreateSystemThread, ZwClose, Success, "@")
    PAIR(ZwCreateEvent, ZwClose, Success, "@")
    PAIR(ZwCreateKey, ZwClose, Success, "@")
// clang-format on
#undef PAIR
};

bool has_taken(If when, std::uint64_t result) {
  switch (when) {
    case If::Always: return true;
    case If::True: return result != 0;
    case If::Success: return static_cast<NTSTATUS>(result) >= 0;
  }
  return false;
}

// Which argument of a routine is the variable it stores a pointer or a handle in.
unsigned stored_at(RoutineId routine) {
  switch (routine) {
    case RoutineId::IoCreateDevice: return 6;
    case RoutineId::ObReferenceObjectByHandle: return 4;
    default: return 0;
  }
}

}  // namespace

std::optional<GivingBack> giving_back(unsigned routine, const std::uint64_t* values, std::uint64_t result, Random& random) {
  const Pair* found = nullptr;
  unsigned seen = 0;
  for (const Pair& pair : kPairs)
    if (static_cast<unsigned>(pair.takes) == routine && random.below(++seen) == 0) found = &pair;
  if (found == nullptr || !has_taken(found->when, result)) return {};
  GivingBack back{static_cast<unsigned>(found->gives), {}};
  for (unsigned index = 0; found->arguments[index] != 0; ++index) switch (const char what = found->arguments[index]) {
      case 'r': back.values[index] = result; break;
      case 't': back.values[index] = reinterpret_cast<std::uintptr_t>(KeGetCurrentThread()); break;
      case 'p': back.values[index] = reinterpret_cast<std::uintptr_t>(KeGetCurrentThread()) | 3; break;
      case 'z': break;
      case '*': back.values[index] = *reinterpret_cast<const KIRQL*>(values[0]); break;
      case '@': back.values[index] = *reinterpret_cast<const std::uint64_t*>(values[stored_at(found->takes)]); break;
      default: back.values[index] = values[what - '0']; break;
    }
  return back;
}

}  // namespace kdpc::fuzz
