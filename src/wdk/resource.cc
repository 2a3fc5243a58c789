#include "kernel/resource.h"

#include "kernel/apc.h"
#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

constexpr std::uint64_t kBadAcquire = 0x37, kBadRelease = 0x38;
constexpr std::uint64_t kInitializedTwice = 0xD0, kNeverInitialized = 0xD1, kDeletedWhileOwned = 0x100B;

bool is_strict() { return sys().options.irql_checks == Options::IrqlChecks::Strict; }

void check_apcs_off(std::uint64_t subcode, const ERESOURCE* resource) {
  apc::check_normal_off(subcode, resource, "A resource was acquired or released while normal kernel APCs are not disabled.", "IRQL-7");
}

void refuse(std::uint64_t subcode, const ERESOURCE* resource, const char* sentence) {
  if (is_strict()) bug_check(stop::DriverVerifierDetectedViolation, {subcode, as_parameter(resource), 0, 0}, sentence, "0xC4");
}

BOOLEAN exclusively(PERESOURCE resource, BOOLEAN wait) {
  check_apcs_off(kBadAcquire, resource);
  return resource::acquire_exclusive(as_resource(resource), wait != FALSE);
}

BOOLEAN shared(PERESOURCE resource, BOOLEAN wait, resource::Sharing sharing) {
  check_apcs_off(kBadAcquire, resource);
  return resource::acquire_shared(as_resource(resource), wait != FALSE, sharing);
}

void release(PERESOURCE resource, ERESOURCE_THREAD owner) {
  check_apcs_off(kBadRelease, resource);
  resource::release(as_resource(resource), owner);
}

ERESOURCE_THREAD this_thread() { return reinterpret_cast<ERESOURCE_THREAD>(&thread::current()); }

}  // namespace

extern "C" {

NTSTATUS NTAPI ExInitializeResourceLite(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExInitializeResourceLite, Resource);
  if (!resource::initialize(as_resource(Resource))) refuse(kInitializedTwice, Resource, "A resource was initialised a second time.");
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI ExReinitializeResourceLite(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExReinitializeResourceLite, Resource);
  if (!resource::destroy(as_resource(Resource))) refuse(kNeverInitialized, Resource, "A resource was reinitialised that was never initialised.");
  static_cast<void>(resource::initialize(as_resource(Resource)));
  return STATUS_SUCCESS;
}

NTSTATUS NTAPI ExDeleteResourceLite(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExDeleteResourceLite, Resource);
  if (resource::is_owned(as_resource(Resource))) refuse(kDeletedWhileOwned, Resource, "A resource was deleted while a thread owns it.");
  if (!resource::destroy(as_resource(Resource))) refuse(kNeverInitialized, Resource, "A resource was deleted that was never initialised.");
  return STATUS_SUCCESS;
}

BOOLEAN NTAPI ExAcquireResourceExclusiveLite(PERESOURCE Resource, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(ExAcquireResourceExclusiveLite, Resource);
  return exclusively(Resource, Wait);
}

BOOLEAN NTAPI ExAcquireResourceSharedLite(PERESOURCE Resource, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(ExAcquireResourceSharedLite, Resource);
  return shared(Resource, Wait, resource::Sharing::Usual);
}

BOOLEAN NTAPI ExAcquireSharedStarveExclusive(PERESOURCE Resource, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(ExAcquireSharedStarveExclusive, Resource);
  return shared(Resource, Wait, resource::Sharing::StarveExclusive);
}

BOOLEAN NTAPI ExAcquireSharedWaitForExclusive(PERESOURCE Resource, BOOLEAN Wait) {
  KDPC_ROUTINE_ON(ExAcquireSharedWaitForExclusive, Resource);
  return shared(Resource, Wait, resource::Sharing::WaitForExclusive);
}

VOID NTAPI ExReleaseResourceLite(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExReleaseResourceLite, Resource);
  release(Resource, this_thread());
}

VOID NTAPI ExReleaseResourceForThreadLite(PERESOURCE Resource, ERESOURCE_THREAD ResourceThreadId) {
  KDPC_ROUTINE_ON(ExReleaseResourceForThreadLite, Resource);
  release(Resource, ResourceThreadId);
}

VOID NTAPI ExConvertExclusiveToSharedLite(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExConvertExclusiveToSharedLite, Resource);
  resource::convert_to_shared(as_resource(Resource));
}

VOID NTAPI ExSetResourceOwnerPointer(PERESOURCE Resource, PVOID OwnerPointer) {
  KDPC_ROUTINE_ON(ExSetResourceOwnerPointer, Resource);
  resource::set_owner(as_resource(Resource), reinterpret_cast<std::uintptr_t>(OwnerPointer));
}

BOOLEAN NTAPI ExIsResourceAcquiredExclusiveLite(PERESOURCE Resource) {
  KDPC_ROUTINE(ExIsResourceAcquiredExclusiveLite);
  return resource::is_exclusive_here(as_resource(Resource));
}

ULONG NTAPI ExIsResourceAcquiredSharedLite(PERESOURCE Resource) {
  KDPC_ROUTINE(ExIsResourceAcquiredSharedLite);
  return resource::count_here(as_resource(Resource));
}

ULONG NTAPI ExGetSharedWaiterCount(PERESOURCE Resource) {
  KDPC_ROUTINE(ExGetSharedWaiterCount);
  return as_resource(Resource).shared_waiter_count;
}

ULONG NTAPI ExGetExclusiveWaiterCount(PERESOURCE Resource) {
  KDPC_ROUTINE(ExGetExclusiveWaiterCount);
  return as_resource(Resource).exclusive_waiter_count;
}

// They return the thread's Win32 part, which system threads do not have.
PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceExclusive(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExEnterCriticalRegionAndAcquireResourceExclusive, Resource);
  apc::enter_critical_region();
  exclusively(Resource, TRUE);
  return nullptr;
}

PVOID NTAPI ExEnterCriticalRegionAndAcquireResourceShared(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExEnterCriticalRegionAndAcquireResourceShared, Resource);
  apc::enter_critical_region();
  shared(Resource, TRUE, resource::Sharing::Usual);
  return nullptr;
}

PVOID NTAPI ExEnterCriticalRegionAndAcquireSharedWaitForExclusive(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExEnterCriticalRegionAndAcquireSharedWaitForExclusive, Resource);
  apc::enter_critical_region();
  shared(Resource, TRUE, resource::Sharing::WaitForExclusive);
  return nullptr;
}

VOID NTAPI ExReleaseResourceAndLeaveCriticalRegion(PERESOURCE Resource) {
  KDPC_ROUTINE_ON(ExReleaseResourceAndLeaveCriticalRegion, Resource);
  release(Resource, this_thread());
  KeLeaveCriticalRegion();
}

}  // extern "C"
