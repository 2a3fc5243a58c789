#include "kernel/interrupt.h"

#include "kernel/bugcheck.h"
#include "wdk/cast.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

namespace {

// IRQL-4: at most the object's SynchronizeIrql, which only the object knows.
void check_level(const Interrupt& interrupt) {
  if (const Irql level = current_irql(); level > interrupt.synchronize_irql)
    bug_check(stop::DriverVerifierDetectedViolation, {0xE5, as_parameter(level), as_parameter(&interrupt), 0},
              "An interrupt's lock was asked for above the interrupt's SynchronizeIrql.", "INT-21");
}

}  // namespace

extern "C" {

BOOLEAN NTAPI KeSynchronizeExecution(PKINTERRUPT InterruptObject, PKSYNCHRONIZE_ROUTINE SynchronizeRoutine, PVOID SynchronizeContext) {
  KDPC_ROUTINE_ON(KeSynchronizeExecution, InterruptObject);
  check_level(as_interrupt(InterruptObject));
  return interrupt::synchronize(as_interrupt(InterruptObject), SynchronizeRoutine, SynchronizeContext);
}

KIRQL NTAPI KeAcquireInterruptSpinLock(PKINTERRUPT InterruptObject) {
  KDPC_ROUTINE_ON(KeAcquireInterruptSpinLock, InterruptObject);
  if (as_interrupt(InterruptObject).lock != nullptr) check_level(as_interrupt(InterruptObject));
  return static_cast<KIRQL>(interrupt::acquire_lock(as_interrupt(InterruptObject)));
}

VOID NTAPI KeReleaseInterruptSpinLock(PKINTERRUPT InterruptObject, KIRQL OldIrql) {
  KDPC_ROUTINE_ON(KeReleaseInterruptSpinLock, InterruptObject);
  interrupt::release_lock(as_interrupt(InterruptObject), static_cast<Irql>(OldIrql));
}

}  // extern "C"
