#include "kernel/processor.h"

#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

ULONG number_here() {
  RaiseTo<Irql::High> raised;
  return Machine::here().number;
}

ULONG count_of_group(USHORT group) { return group == 0 || group == ALL_PROCESSOR_GROUPS ? sys().processor_count : 0; }

constexpr std::uint32_t kCallbackTag = pool_tag("PrCb");

// Those that were told of a beginning and will see no end are told so.
NTSTATUS notify_all(PPROCESSOR_CALLBACK_FUNCTION callback, void* context, KE_PROCESSOR_CHANGE_NOTIFY_STATE state, ULONG count,
                    NTSTATUS why = STATUS_SUCCESS) {
  for (ULONG number = 0; number < count; ++number) {
    KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change = {state, number, why, {0, static_cast<UCHAR>(number), 0}};
    NTSTATUS status = STATUS_SUCCESS;
    callback(context, &change, &status);
    if (state != KeProcessorAddStartNotify || NT_SUCCESS(status)) continue;
    notify_all(callback, context, KeProcessorAddFailureNotify, number, status);
    return status;
  }
  return STATUS_SUCCESS;
}

}  // namespace

extern "C" {

ULONG NTAPI KeGetCurrentProcessorNumber() {
  KDPC_ROUTINE(KeGetCurrentProcessorNumber);
  return number_here();
}

ULONG NTAPI KeGetCurrentProcessorNumberEx(PPROCESSOR_NUMBER ProcNumber) {
  KDPC_ROUTINE(KeGetCurrentProcessorNumberEx);
  const ULONG number = number_here();
  if (ProcNumber != nullptr) *ProcNumber = PROCESSOR_NUMBER{0, static_cast<UCHAR>(number), 0};
  return number;
}

ULONG NTAPI KeQueryActiveProcessorCount(PKAFFINITY ActiveProcessors) {
  KDPC_ROUTINE(KeQueryActiveProcessorCount);
  if (ActiveProcessors != nullptr) *ActiveProcessors = active_processors().mask();
  return sys().processor_count;
}

ULONG NTAPI KeQueryActiveProcessorCountEx(USHORT GroupNumber) {
  KDPC_ROUTINE(KeQueryActiveProcessorCountEx);
  return count_of_group(GroupNumber);
}

ULONG NTAPI KeQueryMaximumProcessorCount() {
  KDPC_ROUTINE(KeQueryMaximumProcessorCount);
  return sys().processor_count;
}

ULONG NTAPI KeQueryMaximumProcessorCountEx(USHORT GroupNumber) {
  KDPC_ROUTINE(KeQueryMaximumProcessorCountEx);
  return count_of_group(GroupNumber);
}

USHORT NTAPI KeQueryActiveGroupCount() {
  KDPC_ROUTINE(KeQueryActiveGroupCount);
  return 1;
}

KAFFINITY NTAPI KeQueryGroupAffinity(USHORT GroupNumber) {
  KDPC_ROUTINE(KeQueryGroupAffinity);
  return GroupNumber == 0 ? active_processors().mask() : 0;
}

KAFFINITY NTAPI KeQueryActiveProcessors() {
  KDPC_ROUTINE(KeQueryActiveProcessors);
  return active_processors().mask();
}

NTSTATUS NTAPI KeGetProcessorNumberFromIndex(ULONG ProcIndex, PPROCESSOR_NUMBER ProcNumber) {
  KDPC_ROUTINE(KeGetProcessorNumberFromIndex);
  if (ProcIndex >= sys().processor_count) return STATUS_INVALID_PARAMETER;
  *ProcNumber = PROCESSOR_NUMBER{0, static_cast<UCHAR>(ProcIndex), 0};
  return STATUS_SUCCESS;
}

ULONG NTAPI KeGetProcessorIndexFromNumber(PPROCESSOR_NUMBER ProcNumber) {
  KDPC_ROUTINE(KeGetProcessorIndexFromNumber);
  constexpr ULONG kInvalidIndex = ~ULONG{0};
  return ProcNumber->Group == 0 && ProcNumber->Number < sys().processor_count ? ProcNumber->Number : kInvalidIndex;
}

VOID NTAPI KeSetSystemAffinityThread(KAFFINITY Affinity) {
  KDPC_ROUTINE(KeSetSystemAffinityThread);
  const ProcessorSet wanted = ProcessorSet{Affinity} & active_processors();
  if (!wanted.empty()) thread::set_affinity_of_current(wanted);
}

KAFFINITY NTAPI KeSetSystemAffinityThreadEx(KAFFINITY Affinity) {
  KDPC_ROUTINE(KeSetSystemAffinityThreadEx);
  const ProcessorSet wanted = ProcessorSet{Affinity} & active_processors();
  if (wanted.empty()) return 0;
  const ProcessorSet old = thread::set_affinity_of_current(wanted);
  return old == thread::current().user_affinity ? 0 : old.mask();  // zero: there was no system affinity before
}

VOID NTAPI KeRevertToUserAffinityThread() {
  KDPC_ROUTINE(KeRevertToUserAffinityThread);
  thread::set_affinity_of_current(thread::current().user_affinity);
}

VOID NTAPI KeRevertToUserAffinityThreadEx(KAFFINITY Affinity) {
  KDPC_ROUTINE(KeRevertToUserAffinityThreadEx);
  const ProcessorSet wanted = ProcessorSet{Affinity} & active_processors();
  thread::set_affinity_of_current(wanted.empty() ? thread::current().user_affinity : wanted);
}

// With one group, a group affinity is a mask of it.
VOID NTAPI KeSetSystemGroupAffinityThread(PGROUP_AFFINITY Affinity, PGROUP_AFFINITY PreviousAffinity) {
  KDPC_ROUTINE(KeSetSystemGroupAffinityThread);
  GROUP_AFFINITY previous = {};
  const ProcessorSet wanted{Affinity->Mask};
  const bool is_sane = Affinity->Group == 0 && (wanted & active_processors()) == wanted && !wanted.empty() && Affinity->Reserved[0] == 0 &&
                       Affinity->Reserved[1] == 0 && Affinity->Reserved[2] == 0;
  if (is_sane) {
    const ProcessorSet old = thread::set_affinity_of_current(wanted);
    if (!(old == thread::current().user_affinity)) previous.Mask = old.mask();  // zero: there was no system affinity before
  }
  if (PreviousAffinity != nullptr) *PreviousAffinity = previous;
}

VOID NTAPI KeRevertToUserGroupAffinityThread(PGROUP_AFFINITY PreviousAffinity) {
  KDPC_ROUTINE(KeRevertToUserGroupAffinityThread);
  const ProcessorSet wanted = ProcessorSet{PreviousAffinity->Mask} & active_processors();
  thread::set_affinity_of_current(wanted.empty() || PreviousAffinity->Group != 0 ? thread::current().user_affinity : wanted);
}

USHORT NTAPI KeQueryMaximumGroupCount() {
  KDPC_ROUTINE(KeQueryMaximumGroupCount);
  return 1;
}

// No processor ever comes or goes, so that a registration is the calls for those that are there, and a handle.
PVOID NTAPI KeRegisterProcessorChangeCallback(PPROCESSOR_CALLBACK_FUNCTION CallbackFunction, PVOID CallbackContext, ULONG Flags) {
  KDPC_ROUTINE(KeRegisterProcessorChangeCallback);
  KDPC_MAY_FAIL(KeRegisterProcessorChangeCallback, nullptr);
  void* handle = sys().pool.allocate(sizeof(void*), kCallbackTag);
  if (handle == nullptr || (Flags & KE_PROCESSOR_CHANGE_ADD_EXISTING) == 0) return handle;
  const NTSTATUS status = notify_all(CallbackFunction, CallbackContext, KeProcessorAddStartNotify, sys().processor_count);
  if (NT_SUCCESS(status)) {
    notify_all(CallbackFunction, CallbackContext, KeProcessorAddCompleteNotify, sys().processor_count);
    return handle;
  }
  sys().pool.free(handle, kCallbackTag);
  return nullptr;
}

VOID NTAPI KeDeregisterProcessorChangeCallback(PVOID CallbackHandle) {
  KDPC_ROUTINE(KeDeregisterProcessorChangeCallback);
  sys().pool.free(CallbackHandle, kCallbackTag);
}

}  // extern "C"
