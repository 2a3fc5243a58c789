// Interrupts whose routine runs at Passive, in a thread (SEMANTICS 2.5): of devices that can only be asked slowly.
//
// The interrupt itself only quiets the controller: a level vector is stopped until the routines have run (INT-24), an edge is simply noted. A DPC
// wakes the vector's service thread, and that calls the routines as an ISR pass would, each under its set's event instead of a spin lock.
//
//   K.PASSIVE-1  One service per vector, made with its first set and ended with its last. It is changed only with the gate held, and its chain
//                only with `busy` held too; so the thread may walk the chain.
//
//   quiet --interrupt--> masked (level), asked --DPC--> thread: routines --> unmasked: quiet, or asserted still and interrupting again
#pragma once
#include <cstdint>

#include "kernel/dpc.h"
#include "kernel/interrupt.h"

namespace kdpc {

struct PassiveService {
  PassiveService* next;           //    gate
  std::uint8_t vector;            // I
  bool level;                     // I
  volatile bool masked;           // V  the vector is let through to nobody
  volatile bool ending;           //    gate
  std::uint32_t sets;             //    gate
  volatile std::uintptr_t asked;  // X  a bit for each processor that was interrupted and whose chain has not been walked since
  Dpc dpc;
  EventObject wake;
  EventObject busy;  //    signalled: nobody walks or changes the chain
  Thread* thread;    // I
};

struct PassiveServices {
  EventObject gate;  //    signalled: free
  PassiveService* first;
};

namespace passive {

void initialize(PassiveServices& services);

// Passive. Between enter() and leave() the vector's chain may be changed. Null: no memory. leave() ends a service that has no sets.
PassiveService* enter(std::uint8_t vector, Trigger trigger);
void leave(PassiveService& service);

// In the interrupt.
void interrupted_here(Processor& self, PassiveService& service);

// At Passive: takes the set's event, and gives it back.
void acquire(Interrupt& interrupt);
void release(Interrupt& interrupt);

}  // namespace passive
}  // namespace kdpc
