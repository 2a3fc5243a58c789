#include "kernel/irql.h"

#include <wdm.h>

#include "wdk/routine.h"

using namespace kdpc;

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
  KDPC_ROUTINE(KeRaiseIrqlToDpcLevel);
  return static_cast<KIRQL>(raise_for_driver(Irql::Dispatch));
}

KIRQL NTAPI KeRaiseIrqlToSynchLevel() {
  KDPC_ROUTINE(KeRaiseIrqlToSynchLevel);
  return static_cast<KIRQL>(raise_for_driver(Irql::Synch));
}

}  // extern "C"
