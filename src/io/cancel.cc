// Cancelling: who takes the cancel routine out of the IRP, by an exchange with null, owns the IRP (IRP-3).
#include "io/requests.h"
#include "this_machine.h"
#include "wdk/routine.h"

namespace kdpc::io::irp {

namespace {

Irql acquire() NO_PERMISSION_CHECK {
  const Irql previous = raise_here(Irql::Dispatch);
  manager().cancel_lock.acquire_here(LockKind::Cancel);
  return previous;
}

void release(Irql previous) NO_PERMISSION_CHECK {
  manager().cancel_lock.release_here(LockKind::Cancel);
  lower_here(previous);
}

}  // namespace

PDRIVER_CANCEL exchange_cancel_routine(IRP* irp, PDRIVER_CANCEL routine) {
  PDRIVER_CANCEL const old = IoSetCancelRoutine(irp, routine);
  Machine::observe(KernelAccess{&irp->CancelRoutine, sizeof irp->CancelRoutine, true});
  return old;
}

bool is_cancelled(const IRP* irp) {
  Machine::observe(KernelRead{&irp->Cancel});
  return irp->Cancel != FALSE;
}

bool cancel(IRP* irp, Request* held) {
  const Irql previous = acquire();
  irp->Cancel = TRUE;
  Machine::observe(KernelAccess{&irp->Cancel, sizeof irp->Cancel});
  PDRIVER_CANCEL const routine = exchange_cancel_routine(irp, nullptr);
  Machine::observe(IrpCancelled{irp, routine != nullptr});
  if (routine == nullptr) {
    release(previous);
    if (held != nullptr) requests::let_go(*held);
    return false;
  }
  if (irp->CurrentLocation > irp->StackCount + 1)
    bug_check(stop::CancelStateInCompletedIrp, {as_parameter(irp), 0, 0, 0}, "A completed IRP has a cancel routine.", "IRP-2");
  irp->CancelIrql = static_cast<KIRQL>(previous);
  if (held != nullptr) requests::let_go(*held);
  routine(irp->Tail.Overlay.CurrentStackLocation->DeviceObject, irp);
  if (const Irql now = Machine::irql(); now != previous)
    bug_check(stop::IrqlUnexpectedValue, {as_parameter(now) << 16 | as_parameter(previous) << 8 | 2, as_parameter(routine), as_parameter(irp), 0},
              "A cancel routine returned without releasing the cancel lock to Irp->CancelIrql.", "IRP-3");
  return true;
}

}  // namespace kdpc::io::irp

using namespace kdpc;
using namespace kdpc::io;

extern "C" {

BOOLEAN NTAPI IoCancelIrp(PIRP Irp) {
  KDPC_ROUTINE_ON(IoCancelIrp, Irp);
  return irp::cancel(Irp) ? TRUE : FALSE;
}

VOID NTAPI IoAcquireCancelSpinLock(PKIRQL Irql) {
  KDPC_ROUTINE(IoAcquireCancelSpinLock);
  *Irql = static_cast<KIRQL>(irp::acquire());
}

VOID NTAPI IoReleaseCancelSpinLock(KIRQL Irql) {
  KDPC_ROUTINE(IoReleaseCancelSpinLock);
  irp::release(static_cast<kdpc::Irql>(Irql));
}

}  // extern "C"
