// KeFlushQueuedDpcs: a private DPC at the tail of every queue. When it runs, everything that was there before has run (FLU-2).
//
//   K.FLU-1  One flush at a time: the private DPCs belong to the one that has its turn.
#pragma once
#include <cstdint>

#include "kernel/wait.h"

namespace kdpc {

struct Flush {
  EventObject turn;                 // D  set: nobody flushes
  EventObject done;                 // D
  volatile std::int32_t remaining;  // X  private DPCs that have not run yet
};

namespace dpc {

void initialize_flush(Flush& flush);

// Passive. Returns when every Dpc that was queued or running anywhere at the call has run to completion (FLU-1).
void flush();

}  // namespace dpc
}  // namespace kdpc
