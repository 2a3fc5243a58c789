// Which thread runs where: ready lists per processor (ready_queues.h), preemption by NextThread and the DISPATCH interrupt.
//
// Everything here runs with the dispatcher lock held at Synch. The lock stays held across a switch: the thread that goes on releases it.
//
//   K.SCHED-1  A processor that has a next thread is not among the idle ones: who readies a thread for an idle processor replaces nobody.
#pragma once
#include <cstdint>

#include "kernel/thread.h"

namespace kdpc {

struct Processor;

namespace scheduler {

Irql acquire_dispatcher_lock();
// Also the dispatcher's exit: if a better thread was chosen for this processor meanwhile, it switches before lowering, or asks for the DISPATCH
// interrupt when the caller is too high for a switch (WAIT-2, WAIT-6).
void release_dispatcher_lock(Irql previous);

// A waiting or new thread may run again: chooses its processor, and asks that one to preempt or to wake (WAIT-7).
void ready_locked(Thread& thread);
// Ends a wait with `result`: BOOST-1, then ready_locked().
void unwait_locked(Thread& thread, std::int32_t increment, std::int32_t result);
// The current thread stops being runnable for `why` (its state is set already); another runs. Returns when it has been switched to again.
void block_current_locked(WaitReason why);

// The current thread gives the rest of its quantum to the best thread that is ready here, whatever its priority. False: there is none.
bool yield_locked();

// The DISPATCH interrupt, at Dispatch on the interrupted thread's stack: the DPC list, then quantum end, then the next thread (RET-1).
void dispatch_interrupt();
// Takes this processor's highest pending software interrupt above `level`, the current one, leaving others; raises to its level, which it returns.
Irql take_request(Irql level);

// Nothing is left that this processor would do by itself. What the kernel keeps going for its own sake, the watchdog's timer, does not count.
bool is_at_rest(const Processor& processor);

// An idle thread's life: DPCs, timers, the next thread, else Machine::idle() (RET-2).
[[noreturn]] void idle_loop();

// With the dispatcher lock.
void change_priority_locked(Thread& thread, std::uint8_t priority);
void change_affinity_locked(Thread& thread, ProcessorSet affinity);

}  // namespace scheduler
}  // namespace kdpc
