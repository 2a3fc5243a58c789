// What the live machine keeps: what all processors share, in the first page of the arena, and a Slot for each of them.
//
//   kWorldBase   Shared; its first word is the edge budget that driver code counts down, its end is the header for debuggers
//   kSlots       a Slot per processor, and one for the host
//   …            the rest of the arena (arena.h)
//
// The GS base of a processor's pthread is its Slot. Below Dispatch a thread is preempted and migrated between any two instructions, so whatever is
// meant to be "this processor's" is reached by one GS-relative instruction, or with the level at Dispatch or above:
//
//   K.LIVE-1  A Slot& that here() gave is this processor's until the level falls below Dispatch; the level itself, the requests and the pending
//             levels are read and written by single instructions at any level.
//   K.LIVE-2  The level is the thread's as much as the processor's: whoever preempts a thread puts the level it had back before it goes on.
//
// Guard letters: I set before the processors run · O this processor only, and its signal handler · H the host, while the processors are frozen
//                X anybody, atomic
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/fixed_places.h"
#include "base/processor_set.h"
#include "kernel/irql.h"
#include "kernel/machine.h"
#include "machine/world_header.h"

namespace kdpc::live {

inline constexpr std::uint64_t kForever = ~std::uint64_t{0};
inline constexpr std::size_t kPage = 4096;

struct Fact;

// What a processor is doing, as far as others must know before they disturb it. The word is a futex.
namespace attention {
inline constexpr std::uint32_t kRunning = 0;    // a signal makes it look
inline constexpr std::uint32_t kPolling = 1;    // idle, looks by itself
inline constexpr std::uint32_t kBlocked = 2;    // idle, sleeps: make it kPolling and wake it
inline constexpr std::uint32_t kResuming = 3;   // may go on, and looks first
inline constexpr std::uint32_t kLeaving = 4;    // to go home for good
inline constexpr std::uint32_t kArriving = 5;   // at the gate, where it puts back the level of its code
inline constexpr std::uint32_t kDeparting = 6;  // from the gate, where it goes to High, and looks then
inline constexpr std::uint32_t kParked = 8;     // a flag: frozen, whatever it was doing
inline constexpr std::uint32_t kEnded = 16;     // with kParked: at home after a bug check
}  // namespace attention

struct alignas(64) Slot {
  // What the processor touches all the time.
  Slot* self;                            // I
  Processor* processor;                  // I
  Irql irql;                             // O
  StackKind stack;                       // O  in use now
  std::uint16_t number;                  // I
  Requests requests;                     // O
  std::uintptr_t stack_low, stack_high;  // O  of the stack in use
  std::uint64_t taken;                   // O  interrupts
  std::uint64_t work;                    // O  those that were not the clock's

  // What others write.
  alignas(64) std::atomic<std::uint32_t> pending_levels;  // X  bit n: a vector of level n is pending, or, at kGateLevel, the machine is to freeze
  std::atomic<std::uint32_t> attention;                   // X
  std::atomic<std::uint64_t> pending[4];                  // X  by vector
  std::atomic<bool> signalled;                            // X  a signal is on its way

  // The rest of its own.
  alignas(64) std::atomic<std::uint64_t> in_service[4];  // X  written by this processor, except for the end of an interrupt that has moved
  std::atomic<std::uint64_t> clock;                      // X  when the clock interrupts; the handler may find it due while the host looks
  void* timer;                                           // I  the host's, that makes it so
  std::uint32_t tid;                                     // I
  std::uint32_t spins;                                   // O
  std::uint32_t undisturbed;                             // O  scopes of machine/live/lock.h that it is in: others may wait for them to end
  std::uint64_t gate_seen;                               // O  for which freeze …
  std::uint64_t gate_time;                               // O  … it has first refused, or last waited for another, by its own processor time
  std::atomic<bool> waits;                               // X  it does, at Synch or above; the host takes it back, to see whether it still does
  void** left;                                           // O  where the context goes that is being left
  void* home;                                            // O  the pthread's own context, while an NT thread runs
  void* abandoned;                                       // O  the context that was left for good
  std::uintptr_t home_fs;                                // I
  std::uintptr_t home_low, home_high;                    // I
  std::uintptr_t alternate_stack;                        // I
  std::uintptr_t frame;                                  // O  the innermost frame, for debuggers, where it is idle or parked
  struct {
    std::uintptr_t low, high;
  } own_stacks[3];  // I  by StackKind: for its DPCs and for its ISRs

  Fact* facts;                           // I
  char* texts;                           // I
  std::uint32_t facts_used, texts_used;  // O, emptied by H
  std::uint64_t facts_lost;              // O
};
static_assert(sizeof(Slot) % 64 == 0);

struct Shared {
  std::int64_t edge_budget;
  std::int64_t unused[7];  // a line of its own: driver code writes that word all the time

  unsigned processors;                          // I
  bool observed;                                // H  there are sinks
  bool runs;                                    // H  the host has the machine run, or looks at it in between
  std::atomic<bool> marks_are_wanted;           // X  somebody has asked how long something took
  std::uint8_t idle_policy;                     // I  host::Idle
  bool oversubscribed;                          // I  more processors than the host gives us
  std::atomic<std::uint64_t> time_round;        // X  odd: time passes
  std::atomic<std::uint64_t> origin;            // X  the host's clock at the machine's time 0
  std::atomic<std::uint64_t> stopped_at;        // X  the machine's time while none passes; kForever for a moment
  std::uint64_t stopped_mark;                   // H  the processor's clock then
  std::atomic<std::uint64_t> stood;             // X  how long time has stood still altogether, by the processor's clock
  std::uint64_t first_clock;                    // I  the host's clock when the machine was made …
  std::uint64_t first_mark;                     // I  … and the processor's
  alignas(64) std::atomic<std::uint32_t> idle;  // X  processors that are; away from what everybody reads all the time
};
static_assert(offsetof(Shared, edge_budget) == 0 && kWorldBase + sizeof(Shared) <= WorldHeader::kPlace);

inline constexpr std::uintptr_t kSlots = kWorldBase + kPage;
inline constexpr std::size_t kSlotsSize = (sizeof(Slot) * (kMaxProcessors + 1) + kPage - 1) / kPage * kPage;

inline Shared& shared() { return *reinterpret_cast<Shared*>(kWorldBase); }
inline Slot& slot_of(unsigned number) { return reinterpret_cast<Slot*>(kSlots)[number]; }
// The host's: processor 0 lent to the host while the machine stands still, at a level at which nothing comes to it.
inline Slot& host_slot() { return slot_of(kMaxProcessors); }

inline Slot& here() {
  Slot* slot;
  asm volatile("movq %%gs:%c1, %0" : "=r"(slot) : "i"(offsetof(Slot, self)));
  return *slot;
}
inline Processor* processor_here() {
  Processor* processor;
  asm volatile("movq %%gs:%c1, %0" : "=r"(processor) : "i"(offsetof(Slot, processor)));
  return processor;
}
inline Irql irql() {
  std::uint8_t level;
  asm volatile("movb %%gs:%c1, %0" : "=q"(level) : "i"(offsetof(Slot, irql)));
  return static_cast<Irql>(level);
}
inline void set_irql(Irql level) {
  asm volatile("movb %0, %%gs:%c1" : : "qi"(static_cast<std::uint8_t>(level)), "i"(offsetof(Slot, irql)) : "memory");
}
inline void add_requests(Requests requests) { asm volatile("orl %0, %%gs:%c1" : : "ri"(requests), "i"(offsetof(Slot, requests)) : "memory", "cc"); }
inline Requests requests_here() {
  Requests requests;
  asm volatile("movl %%gs:%c1, %0" : "=r"(requests) : "i"(offsetof(Slot, requests)));
  return requests;
}
inline void clear_requests() { asm volatile("movl $0, %%gs:%c0" : : "i"(offsetof(Slot, requests)) : "memory"); }

// A vector above the level is pending. Level and pending levels may be told by two processors, if the thread is migrated in between: the one that was left
// has seen to its own before the thread left it.
inline bool has_deliverable(Irql level) {
  std::uint32_t levels;
  asm volatile("movl %%gs:%c1, %0" : "=r"(levels) : "i"(offsetof(Slot, pending_levels)) : "memory");
  return (levels >> (static_cast<unsigned>(level) + 1)) != 0;
}
inline bool has_deliverable() { return has_deliverable(irql()); }

}  // namespace kdpc::live
