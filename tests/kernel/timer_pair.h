// Timers with their DPCs, and a record of how the DPCs were called.
#pragma once
#include <wdm.h>

#include <cstring>

#include "kdpc/test.h"
#include "tests/kernel/due_time.h"

namespace kdpc::test {

struct Call {
  PKDPC dpc;
  PVOID argument1, argument2;
  ULONG processor;
  KIRQL irql;
  ULONGLONG interrupt_time, system_time;
};
inline Call calls[64];
inline volatile int runs = 0;
inline char order[64];

inline VOID NTAPI record(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2) {
  calls[runs % 64] = {Dpc, Argument1, Argument2, KeGetCurrentProcessorNumber(), KeGetCurrentIrql(), KeQueryInterruptTime(), system_time()};
  order[runs % 63] = Context == nullptr ? '?' : *static_cast<const char*>(Context);
  runs = runs + 1;
}

// One timer and its DPC, and a second pair.
struct Pair {
  KTIMER timer;
  KDPC dpc;
};
inline Pair one, two;

inline void prepare(Pair& pair, const char* name, PKDEFERRED_ROUTINE routine = record) {
  KeInitializeTimer(&pair.timer);
  KeInitializeDpc(&pair.dpc, routine, const_cast<char*>(name));
}

inline void reset() {
  runs = 0;
  std::memset(order, 0, sizeof order);
  std::memset(static_cast<void*>(&one), 0, sizeof one);
  std::memset(static_cast<void*>(&two), 0, sizeof two);
}

}  // namespace kdpc::test
