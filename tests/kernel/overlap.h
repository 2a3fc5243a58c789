// A DPC that takes its time, so that others can be found waiting for it, and one that only counts.
#pragma once
#include <wdm.h>

namespace overlapping {

inline int runs = 0;
inline volatile int inside = 0;
inline KDPC shared;

inline VOID NTAPI count(PKDPC, PVOID, PVOID, PVOID) { ++runs; }
// Longest far away: when processor 0 is through with its own ones, others still run elsewhere.
inline VOID NTAPI overlap(PKDPC, PVOID, PVOID, PVOID) {
  ++runs;
  inside = inside + 1;
  KeStallExecutionProcessor(200 * (1 + KeGetCurrentProcessorNumber()));
  inside = inside - 1;
}

inline void reset() {
  runs = 0;
  inside = 0;
}

}  // namespace overlapping
