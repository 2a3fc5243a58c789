// One routine on every processor at once, as a DPC on each: KeGenericCallDpc (SEMANTICS 4.7).
//
//   run() --High DPC to each--> routine --synchronize() … all meet--> done() --> (the last one lets run() return)
//
//   K.CALL-1  One call at a time; its counter and barrier are what the routines get as SystemArgument1 and 2.
//   K.CALL-2  A barrier that can never be complete is found when the routine that fails to come returns, or when the first one comes too late:
//             each side writes its own word before it reads the other's.
#pragma once
#include <cstdint>

#include "kernel/dpc.h"
#include "kernel/wait.h"

namespace kdpc {

struct CallBarrier {
  volatile std::int32_t arrived;       // X
  std::int32_t processors;             //    of the call that has its turn
  volatile std::uintptr_t generation;  // X  how often all have met; those who have arrived wait for it to change
};

// The call that is under way.
struct GenericCall {
  EventObject turn;                 // D  set: there is none
  EventObject done;                 // D
  volatile std::int32_t remaining;  // X  SystemArgument1: who has not yet called done()
  CallBarrier barrier;              //    SystemArgument2
  volatile std::uint32_t serial;    // X
};

// One processor's part in it.
struct CallPart {
  Dpc dpc;                          //    NT's PRCB.CallDpc
  volatile std::uint32_t serial;    // X  the call whose routine has begun here last
  volatile std::uint32_t arrivals;  // X  how often that routine has come to the barrier
  volatile bool done;               // H
  volatile bool returned;           // X
};

namespace generic_call {

void initialize(GenericCall& call);

// At most Apc. Returns when every processor's routine has said that it is done (GEN-1).
void run(DpcRoutine* routine, void* context);
// At Dispatch, in such a routine, once (GEN-2).
void done(void* argument1);
// At Dispatch: waits for all. True for exactly one of them (GEN-3).
bool synchronize(void* argument2);

// Around every call of the processor's own call DPC.
void routine_begins_here(Processor& self);
void routine_returned_here(Processor& self);

}  // namespace generic_call
}  // namespace kdpc
