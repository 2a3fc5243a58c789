// NT threads as fibers of the processors' pthreads.
//
//   pthread at home --enter()--> idle thread … --go_home()--> pthread at home        thread --switch_to()--> thread, directly, on any processor
//
// A fiber takes its stack and its thread-local data with it. Nothing is ever unwound: an abandoned fiber is forgotten.
//
//   K.LIVE-13  The level is High from before the stack, its limits and the FS base are changed until they fit each other again, so that no interrupt finds
//              one thread's stack with another's data.
#pragma once
#include "machine/live/slot.h"

namespace kdpc::live::fiber {

// A stack whose first switch enters entry::thread_begins(thread), and thread-local data; false: all are taken.
bool make(Thread& thread);
void forget(Thread& thread);
// An idle thread never leaves its processor, and uses that pthread's own data.
void make_at_home(Thread& idle);

// By the processor's pthread, at home, at High: its current thread runs. Returns when the processor goes home.
void enter(Slot& slot);
[[noreturn]] void go_home();
void switch_to(Thread& from, Thread& to);

}  // namespace kdpc::live::fiber
