#include "kernel/dpc.h"

#include "kernel/processor.h"
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

BOOLEAN NTAPI KeInsertQueueDpc(PRKDPC Dpc, PVOID SystemArgument1, PVOID SystemArgument2) {
  KDPC_ROUTINE(KeInsertQueueDpc);
  return dpc::insert(as_dpc(Dpc), SystemArgument1, SystemArgument2);  // FALSE: was already queued
}

BOOLEAN NTAPI KeRemoveQueueDpc(PRKDPC Dpc) {
  KDPC_ROUTINE(KeRemoveQueueDpc);
  return dpc::remove(*as_dpc(Dpc));
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
  return Machine::here().dpc_routine_active ? TRUE : FALSE;
}

}  // extern "C"
