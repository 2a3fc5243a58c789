// The hooks of compiled drivers: every edge of their control flow, and in check variants every access, counts a budget down, and at zero comes here
// (drvcrt).
#include <wdm.h>

#include "this_machine.h"

extern "C" NTKERNELAPI VOID NTAPI KdpcEdge(VOID);
extern "C" VOID NTAPI KdpcEdge(VOID) { kdpc::Machine::edge(); }

extern "C" NTKERNELAPI VOID NTAPI KdpcAccess(ULONG_PTR At, ULONG64 How);
extern "C" VOID NTAPI KdpcAccess(ULONG_PTR At, ULONG64 How) { kdpc::Machine::access(At, How); }
