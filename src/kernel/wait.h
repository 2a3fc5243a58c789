// Dispatcher objects and waiting for them. One lock, the dispatcher lock, guards every state, every wait list and every thread's readiness;
// it is held at Synch, so only clock, IPI and worse can interpose.
//
//   K.WAIT-1  A waiting thread has one block in the list of each object it waits for, and one in that of its own timer if it has a time limit.
//   K.WAIT-2  What ends a wait also takes what the objects give: a waker consumes for the thread it wakes, so that nobody can come between.
//
//   for_objects() --signalled--> returns        blocked --signal_locked()--> unwait, with the objects' consent
//        '--not yet--> blocked (K.WAIT-1)       blocked --alert, APC, time--> unwait, without
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "kernel/irql.h"

namespace kdpc {

struct Thread;

// NTSTATUS values of this layer.
namespace status {
inline constexpr std::int32_t Success = 0;       // … and up to 63: which object of several ended a wait for any of them
inline constexpr std::int32_t Abandoned = 0x80;  // added to it: the mutex was abandoned by its last owner
inline constexpr std::int32_t UserApc = 0xC0;
inline constexpr std::int32_t KernelApc = 0x100;  // never seen outside: the wait begins again once the APC has run
inline constexpr std::int32_t Alerted = 0x101;
inline constexpr std::int32_t Timeout = 0x102;
}  // namespace status

enum class ObjectType : std::uint8_t {
  NotificationEvent = 0,
  SynchronizationEvent = 1,
  Mutant = 2,
  Semaphore = 5,
  Thread = 6,
  NotificationTimer = 8,
  SynchronizationTimer = 9
};

// NT's DISPATCHER_HEADER, 0x18 bytes. Bytes 1–3 differ by type; a timer's fourth byte says that it is in a table.
struct DispatcherHeader {
  std::uint8_t type;
  std::uint8_t second;
  std::uint8_t size;
  std::uint8_t inserted;
  volatile std::int32_t signal_state;  // D
  List waiters;                        // D  of WaitBlock::link, in the order of arrival
};
static_assert(sizeof(DispatcherHeader) == 0x18 && offsetof(DispatcherHeader, waiters) == 8);

struct EventObject {
  DispatcherHeader header;
};
static_assert(sizeof(EventObject) == 0x18);

struct Semaphore {
  DispatcherHeader header;
  std::int32_t limit;
  std::int32_t unused;
};
static_assert(sizeof(Semaphore) == 0x20 && offsetof(Semaphore, limit) == 0x18);

enum class WaitKind : std::uint8_t { All = 0, Any = 1 };  // NT's WAIT_TYPE

// A thread's place in the list of one object: NT's KWAIT_BLOCK, because a driver lends them for more than three objects.
struct WaitBlock {
  Link link;      // D
  WaitKind kind;  // D
  std::uint8_t state;
  std::uint16_t key;  // D  what the wait returns when this object ends it
  std::int32_t unused;
  Thread* thread;            // D
  DispatcherHeader* object;  // D
  void* spare;
};
static_assert(sizeof(WaitBlock) == 0x30 && offsetof(WaitBlock, thread) == 0x18 && offsetof(WaitBlock, object) == 0x20);

inline constexpr unsigned kThreadWaitObjects = 3;    // a thread's own blocks, not counting the one for its timer
inline constexpr unsigned kMaximumWaitObjects = 64;  // statuses 0…63, and 0x80…0xBF

namespace wait {

// In whose name a thread waits: only a wait for the user, or one that says so, is ended by an alert or by a user APC.
struct Manner {
  bool user_mode = false;
  bool alertable = false;
};

void initialize_event(EventObject& event, ObjectType type, bool signalled);
// At most Dispatch. Returns the previous state (WAIT-1). `increment` boosts the woken thread. `wait_follows`, at most at Apc: the caller stays at
// Dispatch, and its next wait goes back to the level at which this was called.
std::int32_t set_event(EventObject& event, std::int32_t increment, bool wait_follows = false);
std::int32_t reset_event(EventObject& event);
std::int32_t pulse_event(EventObject& event, std::int32_t increment, bool wait_follows = false);

void initialize_semaphore(Semaphore& semaphore, std::int32_t count, std::int32_t limit);
// Returns the previous count; false in `ok`: it would pass the limit, nothing changed.
std::int32_t release_semaphore(Semaphore& semaphore, std::int32_t adjustment, std::int32_t increment, bool& ok, bool wait_follows = false);

// At most Apc, or at Dispatch with a zero timeout. `timeout` as a timer's due time; null: for ever. A wait that is illegal at this level is a bug
// check by the profile (WAIT-3).
std::int32_t for_object(DispatcherHeader& object, const std::int64_t* timeout, Manner manner = {});
// The same for up to 64 objects. `blocks`: one per object, the driver's until the wait is over; null: the thread's own, for up to three. More than
// that: bug check 0x0C.
std::int32_t for_objects(DispatcherHeader* const* objects, std::uint32_t count, WaitKind kind, const std::int64_t* timeout, WaitBlock* blocks,
                         Manner manner = {});
// At most Apc. Never returns early (TIM-6); an interval of zero gives way to whoever is ready here.
std::int32_t delay(std::int64_t interval, Manner manner = {});

// At most Dispatch. Ends an alertable wait of the thread, or the next one it begins. Returns whether it was alerted already.
bool alert(Thread& thread, bool user_mode);

// With the dispatcher lock: an object's state has become `signalled`; releases whom it can.
void signal_locked(DispatcherHeader& object, std::int32_t increment);
// With the dispatcher lock: takes the thread out of all lists it waits in. The result is for those who hear of it.
void end_locked(Thread& thread, std::int32_t result);
// With the dispatcher lock, instead of releasing it: see set_event().
void leave_locked(Irql previous, bool wait_follows);

}  // namespace wait
}  // namespace kdpc
