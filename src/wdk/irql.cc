#include "kernel/irql.h"

#include <wdm.h>

#include "kernel/bugcheck.h"
#include "wdk/routine.h"

using namespace kdpc;

namespace {

// The second parameter of bug check 0xC4/0x30 (IRQL-7).
const void* requested(Irql level) { return reinterpret_cast<const void*>(std::uintptr_t{as_parameter(level)}); }

}  // namespace

extern "C" {

KIRQL NTAPI KeGetCurrentIrql() { return static_cast<KIRQL>(current_irql()); }

KIRQL NTAPI KfRaiseIrql(KIRQL NewIrql) {
  KDPC_ROUTINE(KfRaiseIrql);
  return static_cast<KIRQL>(raise_for_driver(static_cast<Irql>(NewIrql)));
}

VOID NTAPI KeLowerIrql(KIRQL NewIrql) {
  KDPC_ROUTINE(KeLowerIrql);
  lower_for_driver(static_cast<Irql>(NewIrql));
}

KIRQL NTAPI KeRaiseIrqlToDpcLevel() {
  KDPC_ROUTINE_ON(KeRaiseIrqlToDpcLevel, requested(Irql::Dispatch));
  return static_cast<KIRQL>(raise_for_driver(Irql::Dispatch));
}

KIRQL NTAPI KeRaiseIrqlToSynchLevel() {
  KDPC_ROUTINE_ON(KeRaiseIrqlToSynchLevel, requested(Irql::Synch));
  return static_cast<KIRQL>(raise_for_driver(Irql::Synch));
}

}  // extern "C"
