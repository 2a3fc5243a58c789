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
  bool has_handle;                           // D  PsCreateSystemThread has made one, and nobody has closed it
  bool preempted;                            // D  goes back to the head of its list (WAIT-7)
  std::uint8_t priority;                     // D
  std::uint8_t base_priority;                // D
  volatile std::int8_t quantum;              // H  units left
  std::int8_t quantum_reset;                 // I
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
  bool is_worker;                    // I  of the system's: runs work items, and must not end
  ThreadRoutine* routine;            // I
  void* context;                     // I
  std::uint32_t references;          // D  the last one frees a terminated thread
  void* extension;                   // I  for the I/O manager: the thread's own IRPs and handles
  std::uint64_t ticks;               // H  accounting
  MachineContext machine;
  char name[24];  // I
};

namespace thread {

// Passive. A thread that is not yet running; null: out of memory. One reference belongs to the caller.
Thread* create(const char* name, ThreadRoutine* routine, void* context, std::uint8_t priority, ProcessorSet affinity);
void start(Thread& thread);
// Ends the current thread; at Passive.
[[noreturn]] void end_current();
void release(Thread& thread);  // gives a reference back; more than there are: bug check 0x18
void reference(Thread& thread);

// A handle is the thread's address with a mark, and there is one per thread.
std::uintptr_t open_handle(Thread& thread);          // takes over the caller's reference
Thread* reference_by_handle(std::uintptr_t handle);  // null: not an open handle
[[nodiscard]] bool close_handle(std::uintptr_t handle);

// After every switch, by the thread that goes on, with the dispatcher lock held: what the one before left to be cleaned up.
void finish_switch_locked();

// NT's one number for both counts: the special one in the upper half.
std::uint32_t combined_apc_disable(const Thread& thread);

// The thread that runs here, or that was interrupted here (CTX-2). Any level.
Thread& current();

// At most Dispatch. Returns the old priority.
std::uint8_t set_priority(Thread& thread, std::uint8_t priority);
// Passive or Apc; moves the current thread if it has to. Returns the old set.
ProcessorSet set_affinity_of_current(ProcessorSet affinity);

}  // namespace thread
}  // namespace kdpc
