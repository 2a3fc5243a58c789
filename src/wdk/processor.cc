#include "kernel/processor.h"

#include "kernel/system.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

ULONG number_here() {
  RaiseTo<Irql::High> raised;
  return Machine::here().number;
}

ULONG count_of_group(USHORT group) { return group == 0 || group == ALL_PROCESSOR_GROUPS ? sys().processor_count : 0; }

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

}  // extern "C"
