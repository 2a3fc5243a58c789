// Interrupt objects: which routine of which driver answers a vector, on which processors, under which lock.
//
// What a driver holds is the first of a set: one object per processor of its affinity, all sharing one lock (INT-2). Each processor has a
// table of vectors; a vector has a chain of objects in the order of connection (INT-5). A vector is let through to a processor while an object of
// its chain there is active (INT-11).
//
//   K.INT-1  A chain is changed at High under the vector lock; an ISR pass walks it without the lock.
//   K.INT-2  A removed object keeps its `next`, and is freed only when no pass over its vector that began before is still running.
//
//   connected, active --set_active(false)--> connected, inactive --set_active(true)--> connected, active --disconnect()--> gone
//
// Interrupts whose routine runs at Passive: passive_interrupt.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/processor_set.h"
#include "kernel/spinlock.h"
#include "kernel/wait.h"

namespace kdpc {

struct Interrupt;
struct PassiveService;
struct Processor;

using ServiceRoutine = unsigned char KDPC_NTAPI(Interrupt* interrupt, void* context);
using MessageServiceRoutine = unsigned char KDPC_NTAPI(Interrupt* interrupt, void* context, std::uint32_t message);
using SynchronizedRoutine = unsigned char KDPC_NTAPI(void* context);

enum class Trigger : std::uint32_t { Level, Latched };

struct InterruptSpec {
  ServiceRoutine* routine = nullptr;  // or message_routine with `message`
  MessageServiceRoutine* message_routine = nullptr;
  std::uint32_t message = 0;
  void* context = nullptr;
  SpinLock* lock = nullptr;  // the driver's own; null: one inside the object
  std::uint8_t vector = 0;
  Irql irql = Irql::Device;
  Irql synchronize_irql = Irql::Device;  // both Passive: the routine runs in a thread (INT-23)
  Trigger trigger = Trigger::Level;
  bool shared = false;
  ProcessorSet processors;
};

// NT's ISRDPCSTATS, of which we keep the number of calls; durations are the business of whoever listens.
struct InterruptStatistics {
  std::uint64_t isr_time, isr_time_start;
  std::uint64_t isr_count;  // H
  std::uint64_t dpc_time, dpc_time_start, dpc_count;
  std::uint8_t isr_active;  // H
  std::uint8_t unused[7];
  std::uint64_t dpc_watchdog[5];
};

// NT's KINTERRUPT up to 0x120, opaque to drivers but not to debuggers; its InterruptListEntry is used as we like. What is behind is ours.
struct Interrupt {
  std::int16_t type;  // I  kType
  std::int16_t size;  // I
  std::uint32_t unused_04;
  Interrupt* volatile next;                // V  in this processor's chain
  Interrupt* first;                        // I  of the set: what the driver was given
  ServiceRoutine* routine;                 // I
  MessageServiceRoutine* message_routine;  // I  instead of `routine`, with …
  std::uint32_t message;                   // I
  void* context;                           // I
  SpinLock own_lock;                       //    of the first object only
  std::uint32_t tick_count;
  SpinLock* lock;  // I  the one that is really used; null: Passive, see passive_event
  void* dispatch_address;
  std::uint32_t vector;   // I
  Irql irql;              // I
  Irql synchronize_irql;  // I
  bool floating_save;
  volatile bool connected;  // V
  std::uint32_t processor;  // I
  bool shared;              // I
  bool emulate_active_both;
  volatile std::uint16_t active_count;  // V  1: active
  std::int32_t internal_state;
  Trigger trigger;  // I
  std::uint32_t polarity;
  std::uint32_t service_count;   // H  how often the routine claimed here …
  std::uint32_t dispatch_count;  // H  … and was called
  EventObject* passive_event;    // I  what replaces the lock at Passive; null: an ordinary interrupt
  void* trap_frame;
  void* disconnect_data;
  Thread* volatile service_thread;  // X  at Passive: in which the routine runs now
  void* connection_data;
  void* track_entry;
  InterruptStatistics statistics;
  void* redirect_object;
  void* physical_device;

  Interrupt* sibling;                                   // I  the next processor's object of the same set
  ProcessorSet processors;                              // I  of the set
  PassiveService* service;                              // I  at Passive: who calls the routine
  EventObject own_event;                                //    of the first object only
  std::uint32_t sse_control_before, sse_control_after;  // H  what a routine has changed (INT-20)

  static constexpr std::int16_t kType = 22;  // NT's number of interrupt objects
};
static_assert(offsetof(Interrupt, routine) == 0x18 && offsetof(Interrupt, message) == 0x28 && offsetof(Interrupt, context) == 0x30 &&
              offsetof(Interrupt, own_lock) == 0x38 && offsetof(Interrupt, lock) == 0x48 && offsetof(Interrupt, vector) == 0x58 &&
              offsetof(Interrupt, irql) == 0x5C && offsetof(Interrupt, connected) == 0x5F && offsetof(Interrupt, processor) == 0x60 &&
              offsetof(Interrupt, shared) == 0x64 && offsetof(Interrupt, active_count) == 0x66 && offsetof(Interrupt, trigger) == 0x6C &&
              offsetof(Interrupt, service_count) == 0x74 && offsetof(Interrupt, dispatch_count) == 0x78 &&
              offsetof(Interrupt, passive_event) == 0x80 && offsetof(Interrupt, service_thread) == 0x98 && offsetof(Interrupt, statistics) == 0xB0 &&
              sizeof(InterruptStatistics) == 0x60 && offsetof(Interrupt, physical_device) == 0x118 && offsetof(Interrupt, sibling) == 0x120);

enum class ConnectResult : std::uint8_t { Connected, NoProcessor, BadParameter, VectorTaken, NoMemory };

namespace interrupt {

// Passive. `*first` is written after the vector is open: its ISR may already have run by then (INT-4).
ConnectResult connect(const InterruptSpec& spec, Interrupt*& first);
// Passive. Returns when no routine of the set runs on any processor; the objects are gone (INT-26).
void disconnect(Interrupt* first);
// Is this the first object of a set that is connected? Any address, any level.
bool is_connected(const Interrupt* object);
// At most Dispatch. The set's routine is not called while it is inactive; what it is already is no error (INT-11).
void set_active(Interrupt* first, bool active);

// At most the object's synchronize IRQL: raises, takes the interrupt lock, calls, undoes both (INT-21).
unsigned char synchronize(Interrupt& interrupt, SynchronizedRoutine* routine, void* context);
Irql acquire_lock(Interrupt& interrupt);
void release_lock(Interrupt& interrupt, Irql previous);

// On the ISR stack at the vector's level: walks the chain, then ends the interrupt at the controller (INT-13…19).
void service_here(Processor& self, std::uint8_t vector);
// The chain that begins with `head`, once or as often as its trigger wants (INT-14, INT-15).
void walk(Interrupt* head);

// Of an ordinary interrupt and of a message alike.
std::uintptr_t routine_of(const Interrupt& object);

// With the vector lock, for a scope in which chains of a vector change: at its end the vector is let through to exactly the processors that want it.
class RoutesFollow {
 public:
  explicit RoutesFollow(std::uint8_t vector) : vector_(vector), before_(wanted()) {}
  ~RoutesFollow();
  RoutesFollow(const RoutesFollow&) = delete;
  RoutesFollow& operator=(const RoutesFollow&) = delete;

 private:
  ProcessorSet wanted() const;
  std::uint8_t vector_;
  ProcessorSet before_;
};

}  // namespace interrupt
}  // namespace kdpc
