// Dispatcher objects and waiting for them. One lock, the dispatcher lock, guards every state, every wait list and every thread's readiness;
// it is held at Synch, so only clock, IPI and worse can interpose.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "kernel/irql.h"

namespace kdpc {

struct Thread;

// NTSTATUS values of this layer.
namespace status {
inline constexpr std::int32_t Success = 0;
inline constexpr std::int32_t Timeout = 0x102;
}  // namespace status

enum class ObjectType : std::uint8_t {
  NotificationEvent = 0,
  SynchronizationEvent = 1,
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

// A thread's place in the list of one object.
struct WaitBlock {
  Link link;
  Thread* thread;
  DispatcherHeader* object;
  std::int32_t result;  // what the wait returns when this object ends it
};

namespace wait {

void initialize_event(EventObject& event, ObjectType type, bool signalled);
// At most Dispatch. Returns the previous state (WAIT-1). `increment` boosts the woken thread.
std::int32_t set_event(EventObject& event, std::int32_t increment);
std::int32_t reset_event(EventObject& event);
std::int32_t pulse_event(EventObject& event, std::int32_t increment);

void initialize_semaphore(Semaphore& semaphore, std::int32_t count, std::int32_t limit);
// Returns the previous count; false in `ok`: it would pass the limit, nothing changed.
std::int32_t release_semaphore(Semaphore& semaphore, std::int32_t adjustment, std::int32_t increment, bool& ok);

// At most Apc, or at Dispatch with a zero timeout. `timeout` as a timer's due time; null: for ever. Returns status::Success or Timeout.
// A wait that is illegal at this level is a bug check by the profile (WAIT-3).
std::int32_t for_object(DispatcherHeader& object, const std::int64_t* timeout);
// At most Apc. Never returns early (TIM-6).
std::int32_t delay(std::int64_t interval);

// With the dispatcher lock: an object's state has become `signalled`; releases whom it can.
void signal_locked(DispatcherHeader& object, std::int32_t increment);

}  // namespace wait
}  // namespace kdpc
