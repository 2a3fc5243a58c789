// Threaded DPCs: each processor has a thread of the highest priority that takes them from a queue of their own and calls them at Passive.
//
// They keep the rules of Dispatch, because the option `threaded_dpc = disabled` makes ordinary DPCs of them (THR-1). Ordinary DPCs and
// interrupts preempt them; no thread does (THR-2). Importance decides their place in the queue and nothing else (IMP-2).
//
//   insert() -- DISPATCH request --> wake_thread_here() -- event --> the DPC thread: takes and calls until its queue is empty
//
//   K.THR-1  A Dpc that is inserted while `requested` or `active` is set is taken by the thread that is on its way or at work; otherwise the
//            insertion asks for it (THR-3). The thread looks at its queue after it has changed either.
//   K.THR-2  The thread runs on its own processor only.
#pragma once

namespace kdpc {
struct Processor;
}

namespace kdpc::threaded_dpc {

// After the insertion: must the target's DISPATCH interrupt wake its thread? Then the caller requests it.
bool may_request_thread(const Processor& target);
// True: it must, and nobody else has been told so.
bool request_thread(Processor& target);
// At Dispatch, after the drain: wakes the thread of this processor if somebody has asked for it.
void wake_thread_here();

// Any level. A threaded DPC's routine is what runs here, and it has not raised itself to Dispatch. Not true in an ISR or an ordinary DPC that has
// interrupted one. This is what the ForDpc forms of the spin lock routines ask (THR-4).
bool running_here();

// At boot.
void start_threads();

}  // namespace kdpc::threaded_dpc
