// Timers that the system allocates for a driver and that it frees when they can no longer expire (SEMANTICS TIM-19). The driver's callback runs in
// the timer's own DPC; a driver may also wait for the object, which is its first member.
//
//   allocated --set()--> pending --expiry--> calling --(returns)--> allocated
//       '-------------------'--------------------'---remove()---> deleted: freed as soon as it is neither pending nor calling
//
//   K.EXT-1  `calls` is the number of expiries whose callback has not returned; the object is not freed before it is 0.
//   K.EXT-2  The delete callback runs after the object is gone, at Dispatch, exactly once; who waits for the deletion goes on after it.
#pragma once
#include <cstdint>

#include "kernel/timer.h"

namespace kdpc {

struct ExTimer;
using ExTimerCallback = void KDPC_NTAPI(ExTimer* timer, void* context);
using ExTimerDeleteCallback = void KDPC_NTAPI(void* context);

struct ExTimer {
  Timer timer;
  Dpc dpc;
  std::uint64_t signature;                 // I  tells a timer from what a driver takes for one
  ExTimerCallback* callback;               // I  null: the driver waits instead
  void* context;                           // I
  std::uint16_t kind;                      // I  Timer::kExTimer, perhaps kHighResolution
  bool deleted;                            // D  remove() has been called: nothing sets it again
  std::uint32_t calls;                     // D
  ExTimerDeleteCallback* delete_callback;  // D
  void* delete_context;                    // D
  EventObject* gone;                       // D  of who waits for the deletion, on that thread's stack

  static constexpr std::uint64_t kSignature = 0x4558'5449'4d45'5221;
};

namespace ex_timer {

// At most Dispatch. Null: no memory.
ExTimer* allocate(ExTimerCallback* callback, void* context, timer::Kind kind, bool high_resolution);
// True: it was pending. Deleted ones are left alone, false.
bool set(ExTimer& timer, std::int64_t due, std::uint32_t period);
bool cancel(ExTimer& timer);

struct Deletion {
  bool cancel = false;
  bool wait = false;  // then at most Apc
  ExTimerDeleteCallback* callback = nullptr;
  void* context = nullptr;
};
// True: it was pending and has been cancelled. A periodic timer that is not cancelled expires once more.
bool remove(ExTimer& timer, const Deletion& deletion);

// Bug check unless it is one that allocate() has returned and that is not yet gone.
void check(const ExTimer* timer);

// What runs in the end when this Dpc does: its routine, or the driver's callback behind it.
std::uintptr_t routine_of(const Dpc& dpc);

// For the expiry, with the dispatcher lock: its call is now to be made. Null if this is no Ex timer.
ExTimer* call_begins_locked(const Timer& timer);
// The call will not be made: its Dpc is queued already, for the expiry before.
void call_absorbed_locked(ExTimer& timer);

}  // namespace ex_timer
}  // namespace kdpc
