#include "kernel/dpc.h"

#include "kernel/system.h"
#include "kernel/watchdog.h"
#include "this_machine.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

extern "C" {

VOID NTAPI KeInitializeDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
  KDPC_ROUTINE(KeInitializeDpc);
  dpc::initialize(*as_dpc(Dpc), as_routine(DeferredRoutine), DeferredContext);
}

VOID NTAPI KeInitializeThreadedDpc(PRKDPC Dpc, PKDEFERRED_ROUTINE DeferredRoutine, PVOID DeferredContext) {
  KDPC_ROUTINE(KeInitializeThreadedDpc);
  dpc::initialize(*as_dpc(Dpc), as_routine(DeferredRoutine), DeferredContext, DpcType::Threaded);
}

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2) {
  KDPC_ROUTINE(KeInsertQueueDpc);
  return dpc::insert(as_dpc(Dpc), SystemArgument1, SystemArgument2);  // FALSE: was already queued
}

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc) {
  KDPC_ROUTINE(KeRemoveQueueDpc);
  return dpc::remove(*as_dpc(Dpc));
}

BOOLEAN NTAPI KeRemoveQueueDpcEx(PRKDPC Dpc, BOOLEAN WaitIfActive) {
  KDPC_ROUTINE(KeRemoveQueueDpcEx);
  return WaitIfActive ? dpc::remove_or_wait(*as_dpc(Dpc)) : dpc::remove(*as_dpc(Dpc));
}

VOID NTAPI KeSetImportanceDpc(PRKDPC Dpc, KDPC_IMPORTANCE Importance) {
  KDPC_ROUTINE(KeSetImportanceDpc);
  dpc::set_importance(*as_dpc(Dpc), static_cast<kdpc::Importance>(Importance));
}

VOID NTAPI KeSetTargetProcessorDpc(PRKDPC Dpc, CCHAR Number) {
  KDPC_ROUTINE(KeSetTargetProcessorDpc);
  // TGT-2: a number out of range changes nothing, and nobody is told.
  (void)dpc::set_target(*as_dpc(Dpc), static_cast<UCHAR>(Number));
}

NTSTATUS NTAPI KeSetTargetProcessorDpcEx(PKDPC Dpc, PPROCESSOR_NUMBER ProcNumber) {
  KDPC_ROUTINE(KeSetTargetProcessorDpcEx);
  if (ProcNumber->Group != 0 || ProcNumber->Reserved != 0) return STATUS_INVALID_PARAMETER;
  return dpc::set_target(*as_dpc(Dpc), ProcNumber->Number) ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
}

VOID NTAPI KeFlushQueuedDpcs() {
  KDPC_ROUTINE(KeFlushQueuedDpcs);
  dpc::flush();
}

LOGICAL NTAPI KeIsExecutingDpc() {
  KDPC_ROUTINE(KeIsExecutingDpc);
  RaiseTo<Irql::High> raised;
  return Machine::here().dpc_routine_active ? TRUE : FALSE;  // not of a threaded DPC: that is a thread
}

BOOLEAN NTAPI KeShouldYieldProcessor() {
  KDPC_ROUTINE(KeShouldYieldProcessor);
  return watchdog::should_yield();
}

NTSTATUS NTAPI KeQueryDpcWatchdogInformation(PKDPC_WATCHDOG_INFORMATION WatchdogInformation) {
  KDPC_ROUTINE(KeQueryDpcWatchdogInformation);
  watchdog::Information information;
  if (!watchdog::query(information)) return STATUS_UNSUCCESSFUL;
  *WatchdogInformation = {information.time_limit, information.time_left, information.period_limit, information.period_left, 0};
  return STATUS_SUCCESS;
}

VOID NTAPI KeGenericCallDpc(PKDEFERRED_ROUTINE Routine, PVOID Context) {
  KDPC_ROUTINE(KeGenericCallDpc);
  generic_call::run(as_routine(Routine), Context);
}

VOID NTAPI KeSignalCallDpcDone(PVOID SystemArgument1) {
  KDPC_ROUTINE(KeSignalCallDpcDone);
  generic_call::done(SystemArgument1);
}

LOGICAL NTAPI KeSignalCallDpcSynchronize(PVOID SystemArgument2) {
  KDPC_ROUTINE(KeSignalCallDpcSynchronize);
  return generic_call::synchronize(SystemArgument2);
}

ULONG_PTR NTAPI KeIpiGenericCall(PKIPI_BROADCAST_WORKER BroadcastFunction, ULONG_PTR Context) {
  KDPC_ROUTINE(KeIpiGenericCall);
  return ipi::call_everywhere(as_routine(BroadcastFunction), Context);
}

}  // extern "C"
