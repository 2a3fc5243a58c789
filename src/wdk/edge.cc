// The hook of compiled drivers: every edge of their control flow counts the budget down, and at zero comes here (drvcrt).
#include <wdm.h>

#include "this_machine.h"

extern "C" NTKERNELAPI VOID NTAPI KdpcEdge(VOID);
extern "C" VOID NTAPI KdpcEdge(VOID) { kdpc::Machine::edge(); }
