// Interrupt objects: which routine of which driver answers a vector, on which processors, under which lock.
//
// What a driver holds is the first of a set: one object per processor of its affinity, all sharing one lock (INT-2). Each processor has a
// table of vectors; a vector has a chain of objects in the order of connection (INT-5).
//
//   K.INT-1  A chain is changed at High under the vector lock; an ISR pass walks it without the lock.
//   K.INT-2  A removed object keeps its `next`, and is freed only when no pass over its vector that began before is still running.
#pragma once
#include <cstdint>

#include "base/annotations.h"
#include "base/processor_set.h"
#include "kernel/spinlock.h"

namespace kdpc {

struct Interrupt;
struct Processor;

using ServiceRoutine = unsigned char KDPC_NTAPI(Interrupt* interrupt, void* context);
using MessageServiceRoutine = unsigned char KDPC_NTAPI(Interrupt* interrupt, void* context, std::uint32_t message);
using SynchronizedRoutine = unsigned char KDPC_NTAPI(void* context);

enum class Trigger : std::uint8_t { Level, Latched };

struct InterruptSpec {
  ServiceRoutine* routine = nullptr;  // or message_routine with `message`
  MessageServiceRoutine* message_routine = nullptr;
  std::uint32_t message = 0;
  void* context = nullptr;
  SpinLock* lock = nullptr;  // the driver's own; null: one inside the object
  std::uint8_t vector = 0;
  Irql irql = Irql::Device;
  Irql synchronize_irql = Irql::Device;
  Trigger trigger = Trigger::Level;
  bool shared = false;
  ProcessorSet processors;
};

struct Interrupt {
  Interrupt* volatile next;  // V  in this processor's chain
  Interrupt* first;          // I  of the set: what the driver was given
  Interrupt* sibling;        // I  the next processor's object of the same set
  InterruptSpec spec;        // I
  SpinLock own_lock;         //    of the first object only
  SpinLock* lock;            // I  the one that is really used
  std::uint16_t processor;   // I
  volatile bool connected;   // V
  std::uint64_t dispatched;  // H  how often the routine was called here
};

enum class ConnectResult : std::uint8_t { Connected, NoProcessor, BadParameter, VectorTaken, NoMemory };

namespace interrupt {

// Passive. `*first` is written after the vector is open: its ISR may already have run by then (INT-4).
ConnectResult connect(const InterruptSpec& spec, Interrupt*& first);
// Passive. Returns when no routine of the set runs on any processor; the objects are gone (INT-26).
void disconnect(Interrupt* first);

// At most the object's synchronize IRQL: raises, takes the interrupt lock, calls, undoes both (INT-21).
unsigned char synchronize(Interrupt& interrupt, SynchronizedRoutine* routine, void* context);
Irql acquire_lock(Interrupt& interrupt);
void release_lock(Interrupt& interrupt, Irql previous);

// On the ISR stack at the vector's level: walks the chain, then ends the interrupt at the controller (INT-13…19).
void service_here(Processor& self, std::uint8_t vector);

}  // namespace interrupt
}  // namespace kdpc
