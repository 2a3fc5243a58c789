// A DPC that takes its time, so that others can be found waiting for it, and one that only counts.
#pragma once
#include <wdm.h>

namespace overlapping {

inline volatile LONG runs = 0, inside = 0;
inline volatile bool held = false;  // it does not end before this is taken back
inline KDPC shared;

inline VOID NTAPI count(PKDPC, PVOID, PVOID, PVOID) { InterlockedIncrement(&runs); }
// Longest far away: when processor 0 is through with its own ones, others still run elsewhere.
inline VOID NTAPI overlap(PKDPC, PVOID, PVOID, PVOID) {
  InterlockedIncrement(&runs);
  InterlockedIncrement(&inside);
  for (int turn = 0; turn < 100'000 && held; ++turn) KeStallExecutionProcessor(10);
  KeStallExecutionProcessor(200 * (1 + KeGetCurrentProcessorNumber()));
  InterlockedDecrement(&inside);
}

inline void reset() {
  runs = 0;
  inside = 0;
  held = false;
}

}  // namespace overlapping
