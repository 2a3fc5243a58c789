#include "kernel/apc.h"

#include "kernel/bugcheck.h"
#include "kernel/system.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// A free build would count on, and APCs would stay disabled, or enabled where they must not be.
void refuse_leaving(const char* sentence) {
  switch (sys().options.irql_checks) {
    case Options::IrqlChecks::Strict: bug_check(stop::DriverVerifierDetectedViolation, {0x3E, 0, 0, 0}, sentence, "IRQL-7");
    case Options::IrqlChecks::Checked:
      bug_check(stop::KmodeExceptionNotHandled, {static_cast<ULONG>(STATUS_ASSERTION_FAILURE), as_parameter(&thread::current()), 0, 0}, sentence,
                "IRQL-7");
    case Options::IrqlChecks::Free: return;
  }
}

}  // namespace

extern "C" {

VOID NTAPI KeInitializeApc(PRKAPC Apc, PRKTHREAD Thread, KAPC_ENVIRONMENT, PKKERNEL_ROUTINE KernelRoutine, PKRUNDOWN_ROUTINE RundownRoutine,
                           PKNORMAL_ROUTINE NormalRoutine, KPROCESSOR_MODE ApcMode, PVOID NormalContext) {
  KDPC_ROUTINE(KeInitializeApc);
  apc::initialize(as_apc(Apc), as_thread(Thread), reinterpret_cast<kdpc::KernelRoutine*>(KernelRoutine),
                  reinterpret_cast<kdpc::RundownRoutine*>(RundownRoutine), NormalRoutine,
                  ApcMode == KernelMode ? kdpc::ApcMode::Kernel : kdpc::ApcMode::User, NormalContext);
}

BOOLEAN NTAPI KeInsertQueueApc(PRKAPC Apc, PVOID SystemArgument1, PVOID SystemArgument2, KPRIORITY Increment) {
  KDPC_ROUTINE(KeInsertQueueApc);
  return apc::insert(as_apc(Apc), SystemArgument1, SystemArgument2, Increment);
}

BOOLEAN NTAPI KeRemoveQueueApc(PRKAPC Apc) {
  KDPC_ROUTINE(KeRemoveQueueApc);
  return apc::remove(as_apc(Apc));
}

VOID NTAPI KeEnterCriticalRegion() {
  KDPC_ROUTINE(KeEnterCriticalRegion);
  apc::enter_critical_region();
}

VOID NTAPI KeLeaveCriticalRegion() {
  KDPC_ROUTINE(KeLeaveCriticalRegion);
  if (!apc::leave_critical_region()) refuse_leaving("KeLeaveCriticalRegion was called by a thread that is in no critical region.");
}

VOID NTAPI KeEnterGuardedRegion() {
  KDPC_ROUTINE(KeEnterGuardedRegion);
  apc::enter_guarded_region();
}

VOID NTAPI KeLeaveGuardedRegion() {
  KDPC_ROUTINE(KeLeaveGuardedRegion);
  if (!apc::leave_guarded_region()) refuse_leaving("KeLeaveGuardedRegion was called by a thread that is in no guarded region.");
}

BOOLEAN NTAPI KeAreApcsDisabled() {
  KDPC_ROUTINE(KeAreApcsDisabled);
  return thread::combined_apc_disable(thread::current()) != 0;
}

BOOLEAN NTAPI KeAreAllApcsDisabled() {
  KDPC_ROUTINE(KeAreAllApcsDisabled);
  return current_irql() >= Irql::Apc || thread::current().special_apc_disable != 0;
}

}  // extern "C"
