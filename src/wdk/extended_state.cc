#include "kernel/thread.h"

#include "kernel/bugcheck.h"
#include "wdk/cast.h"
#include "wdk/may_fail.h"
#include "wdk/routine.h"

using namespace kdpc;
using namespace kdpc::wdk;

// Interrupts are calls here, and the compiler keeps nothing in vector registers across a call: nothing has to be saved. What a driver must keep to
// is kept: the order, the thread and the level (CTX-3).

extern "C" {

NTSTATUS NTAPI KeSaveExtendedProcessorState(ULONG64 Mask, PXSTATE_SAVE XStateSave) {
  KDPC_ROUTINE_ON(KeSaveExtendedProcessorState, XStateSave);
  KDPC_MAY_FAIL(KeSaveExtendedProcessorState, STATUS_INSUFFICIENT_RESOURCES);
  kdpc::Thread& self = thread::current();
  *XStateSave = XSTATE_SAVE{};
  XStateSave->Prev = static_cast<PXSTATE_SAVE>(self.extended_saves);
  XStateSave->Thread = as_kthread(self);
  XStateSave->Level = static_cast<UCHAR>(current_irql());
  XStateSave->XStateContext.Mask = Mask;
  self.extended_saves = XStateSave;
  return STATUS_SUCCESS;
}

VOID NTAPI KeRestoreExtendedProcessorState(PXSTATE_SAVE XStateSave) {
  KDPC_ROUTINE_ON(KeRestoreExtendedProcessorState, XStateSave);
  kdpc::Thread& self = thread::current();
  if (self.extended_saves != XStateSave || XStateSave->Thread != as_kthread(self) || XStateSave->Level != static_cast<UCHAR>(current_irql()))
    bug_check(stop::InvalidExtendedProcessorState, {static_cast<ULONG>(STATUS_INVALID_PARAMETER), as_parameter(XStateSave), 0, 0},
              "Extended processor state was restored out of order, by another thread, or at another IRQL than it was saved at.", "CTX-3");
  self.extended_saves = XStateSave->Prev;
}

}  // extern "C"
