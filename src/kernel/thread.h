// Threads: what the dispatcher switches between. A thread has a kernel stack of the machine's making and one of these states:
//
//   initialized --start()--> ready --chosen--> standby --switch--> running --wait--> waiting --signalled--> ready
//                              ^                                      |--quantum end, preempted--> ready
//                              '--------------------------------------'           '--ends--> terminated
#pragma once
#include <cstdint>

#include "base/annotations.h"
#include "base/list.h"
#include "base/processor_set.h"
#include "kernel/apc.h"
#include "kernel/timer.h"
#include "kernel/wait.h"

namespace kdpc {

using ThreadRoutine = void KDPC_NTAPI(void* context);
using ThreadEndRoutine = void(void* context);

enum class ThreadState : std::uint8_t { Initialized, Ready, Standby, Running, Waiting, Terminated };

inline constexpr std::uint8_t kIdlePriority = 0;
inline constexpr std::uint8_t kNormalPriority = 8;
inline constexpr std::uint8_t kLowRealtimePriority = 16;
inline constexpr std::uint8_t kHighPriority = 31;

// What a machine keeps for a thread: its stack and where it stopped.
struct MachineContext {
  std::uintptr_t stack_low = 0;
  std::uintptr_t stack_high = 0;
  void* resume = nullptr;  // the machine's own; meaningful while the thread is not running
  void* extra = nullptr;   // the machine's own
};

struct Thread {
  DispatcherHeader header;                   //    signalled when the thread has ended
  std::uint32_t id;                          // I  1, 2, 3 … in order of creation; idle threads first
  ThreadState state;                         // D
  bool is_idle;                              // I
  bool preempted;                            // D  goes back to the head of its list (WAIT-7)
  std::uint8_t priority;                     // D
  std::int8_t saturation;                    // D  1, -1: the base is as high, as low as it goes, whatever it was asked to be
  std::uint8_t base_priority;                // D
  volatile std::int8_t quantum;              // H  units left
  std::int8_t quantum_reset;                 // I
  std::int64_t uncharged;                    // H  quantum = cycles: run time that has not yet been taken from the quantum, ns
  std::uint16_t processor;                   // D  where it runs, or ran last
  std::uint16_t ideal_processor;             // D
  ProcessorSet affinity;                     // D
  ProcessorSet user_affinity;                // D  what KeRevertToUserAffinityThread goes back to
  Link queue_link;                           // D  in a ready list
  Link all_link;                             // D  in System::threads
  WaitBlock own_blocks[kThreadWaitObjects];  // D  for up to three objects …
  WaitBlock timer_block;                     // D  … and for the time limit
  WaitBlock* wait_blocks;                    // D  of the wait under way, one per object
  std::uint32_t wait_count;                  // D  how many
  Timer timer;                               // D
  std::int32_t wait_result;                  // D
  WaitReason wait_reason;                    // D
  DispatcherHeader* volatile waiting_for;    // D  the first object, or the thread's timer
  wait::Manner wait_manner;                  // D
  Irql wait_irql;                            // D  to which the wait will return, or the one that is to follow
  bool wait_follows;                         // T  it has promised to wait at once (WAIT-1)
  bool alerted[2];                           // D  by mode
  List mutants;                              // D  that it owns
  ApcState apcs;
  std::int16_t kernel_apc_disable;   // T  0 enabled, negative inside critical regions; who ends its wait may change it
  std::int16_t special_apc_disable;  // T  the same of guarded regions
  void* extended_saves;              // T  the innermost save of extended processor state (CTX-3)
  std::uint8_t may_touch_pageable;   // T  MayTouchPageable scopes it is in
  bool is_worker;                    // I  of the system's: runs work items, and must not end
  ThreadRoutine* routine;            // I
  void* context;                     // I
  std::uint32_t references;          // D  the last one frees a terminated thread
  ThreadEndRoutine* at_end;          // I  called by the thread itself, at Passive, when it ends
  void* at_end_context;              // I
  std::uint64_t ticks;               // H  accounting
  MachineContext machine;
  char name[24];  // I
};

namespace thread {

// Passive. A thread that is not yet running; null: out of memory. One reference belongs to the caller.
Thread* create(const char* name, ThreadRoutine* routine, void* context, std::uint8_t priority, ProcessorSet affinity);
void start(Thread& thread);
// Of a thread that will never be started: gives it up.
void abandon(Thread& thread);
// Ends the current thread; at Passive.
[[noreturn]] void end_current();
// At most Dispatch. The count afterwards. Giving back more references than there are is bug check 0x18.
std::int64_t reference(Thread& thread);
std::int64_t release(Thread& thread);

// After every switch, by the thread that goes on, with the dispatcher lock held: what the one before left to be cleaned up.
void finish_switch_locked();

// NT's one number for both counts: the special one in the upper half.
std::uint32_t combined_apc_disable(const Thread& thread);

// The thread that runs here, or that was interrupted here (CTX-2). Any level.
Thread& current();

// At most Dispatch. Returns the old priority. The base stays: a quantum's end leads back to it.
std::uint8_t set_priority(Thread& thread, std::uint8_t priority);
// At most Dispatch. The base becomes that of the system's process plus the increment, within the variable priorities; an increment of 16 or more,
// either way, means as far as it goes. Returns the increment before.
std::int32_t set_base_priority(Thread& thread, std::int32_t increment);
// At most Dispatch. Where it is readied first; a processor that does not exist changes nothing. Returns the one before.
std::uint16_t set_ideal_processor(Thread& thread, unsigned number);
// At most Apc. Lets somebody else run who is ready here; false: there is nobody.
bool yield();
// Passive or Apc; moves the current thread if it has to. Returns the old set.
ProcessorSet set_affinity_of_current(ProcessorSet affinity);

}  // namespace thread
}  // namespace kdpc
