// Requests to other processors. A request is a bit in the target's mailbox; the IPI vector makes it look (IPI-1).
//
// call_everywhere() runs one function on all processors at the same time (IPI-2):
//
//   caller   lock ---- IPI to all ---- waits for all ---- opens the gate ---- runs ---- waits for all ---- returns its own result
//   others             '--> arrive, wait at the gate ------------------'---- run, report -----'
//
//   K.IPI-1  Whoever waits for the lock does so below Ipi: it must itself be able to arrive.
#pragma once
#include <cstdint>

#include "base/annotations.h"
#include "kernel/spinlock.h"

namespace kdpc {

struct Processor;
using BroadcastRoutine = std::uintptr_t KDPC_NTAPI(std::uintptr_t argument);

// The function that runs everywhere, or ran last.
struct IpiCall {
  SpinLock lock;
  BroadcastRoutine* routine;
  std::uintptr_t argument;
  volatile std::uintptr_t arrived;   // X
  volatile std::uintptr_t gate;      // X  1: run
  volatile std::uintptr_t finished;  // X
};

namespace ipi {

// Any level. The DISPATCH interrupt will come to `target` when its level allows; on this processor without an IPI.
void request_dispatch(Processor& target);
// The same by IPI, whoever asks.
void interrupt_for_dispatch(Processor& target);
// Dispatch or above. `target` arms its clock anew (clock::rearm_here); on this processor at once.
void request_clock(Processor& target);
// At Dispatch or above. The APC interrupt will come to `target`, another processor, when its level allows.
void request_apc(Processor& target);
// Below Ipi. Returns what the routine returned on this processor, when it has run on all; bug check 0x1DB if one does not come in time.
std::uintptr_t call_everywhere(BroadcastRoutine* routine, std::uintptr_t argument);
// At Ipi, on the target.
void receive_here();

}  // namespace ipi
}  // namespace kdpc
