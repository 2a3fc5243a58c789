// Asynchronous procedure calls: work that one particular thread does for somebody else, at a moment when its level is below Apc.
//
// A special kernel APC runs at Apc as soon as the level allows it. A normal one has a second routine, run at Passive unless the thread is in a
// critical region or in another normal APC. A thread that waits at Passive is taken out of its wait for either and then waits again. Nothing here
// returns to user mode: a user APC ends an alertable wait for the user and is otherwise left alone.
//
//   K.APC-1  `inserted` is set exactly while the object is in its thread's list; it leaves the list before its first routine runs.
//   K.APC-2  A deliverable kernel APC is announced: Thread::kernel_apc_pending is set, and on the processor that runs the thread below Apc the
//            APC interrupt is requested, again after every switch to the thread.
//
//   idle --insert()--> queued --the APC interrupt, at Apc--> kernel routine --normal: at Passive--> normal routine
//                        '--remove(), the thread's end--> idle
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/list.h"
#include "kernel/irql.h"

namespace kdpc {

struct Apc;
struct Thread;

using NormalRoutine = void KDPC_NTAPI(void* context, void* argument1, void* argument2);
// May free the object, and may change what the normal routine gets, or take it away.
using KernelRoutine = void KDPC_NTAPI(Apc* apc, NormalRoutine** normal, void** context, void** argument1, void** argument2);
using RundownRoutine = void KDPC_NTAPI(Apc* apc);

enum class ApcMode : std::uint8_t { Kernel = 0, User = 1 };

// NT's KAPC.
struct Apc {
  std::uint8_t type;
  std::uint8_t spare0;
  std::uint8_t size;
  std::uint8_t spare1;
  std::uint32_t spare2;
  Thread* thread;
  Link link;  // D
  KernelRoutine* kernel_routine;
  RundownRoutine* rundown_routine;
  NormalRoutine* normal_routine;  // null: a special kernel APC
  void* context;
  void* argument1;
  void* argument2;
  std::uint8_t state_index;
  ApcMode mode;
  std::uint8_t inserted;  // D
};
static_assert(sizeof(Apc) == 0x58 && offsetof(Apc, link) == 0x10 && offsetof(Apc, context) == 0x38 && offsetof(Apc, inserted) == 0x52);

// What a thread has of them.
struct ApcState {
  List lists[2];                 // D  by ApcMode; the kernel's: special ones first
  volatile bool kernel_pending;  // D
  bool user_pending;             // D  a wait for the user ends at once
  bool normal_in_progress;       // T
  bool closed;                   // D  the thread is ending: no more
};

namespace apc {

void initialize(ApcState& state);
void initialize(Apc& apc, Thread& thread, KernelRoutine* kernel, RundownRoutine* rundown, NormalRoutine* normal, ApcMode mode, void* context);
// At most Dispatch. False: it is queued already, or the thread has ended. `increment` boosts a thread that waits.
bool insert(Apc& apc, void* argument1, void* argument2, std::int32_t increment);
// False: it was not queued.
bool remove(Apc& apc);

// The APC interrupt, at Apc on the thread's own stack.
void deliver_here();

// At most Apc, for the current thread; leaving may deliver. False: it was in no such region, and nothing has changed.
void enter_critical_region();
[[nodiscard]] bool leave_critical_region();
void enter_guarded_region();
[[nodiscard]] bool leave_guarded_region();

// What a thread does with a lock that an APC may ask for again inside it: it must have kept normal kernel APCs off, by its level or by a region.
// If not, bug check 0xC4 with this sub-code, as Driver Verifier.
void check_normal_off(std::uint64_t subcode, const void* lock, const char* sentence, const char* rule);

// With the dispatcher lock.
bool has_deliverable_locked(Thread& thread);
void disable_normal_locked(Thread& thread, unsigned count);
void enable_normal_locked(Thread& thread, unsigned count);
// After every switch, by the thread that goes on.
void announce_locked(const Thread& thread);
// The thread ends: what is queued will not run.
void run_down(Thread& thread);

}  // namespace apc
}  // namespace kdpc
