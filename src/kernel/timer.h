// Timers: something is due at an interrupt time; the clock notices, the DPC drain expires it (SEMANTICS 7).
//
// A timer lives in the table of one processor: that of its DPC's target, else that of the processor that set it (TIM-13). The clock interrupt
// only compares the earliest due time and asks for a drain; expiry happens at Dispatch, in batches, under the dispatcher lock.
//
//   K.TIM-1  `inserted` is true exactly while the timer is linked in a table; both change under the dispatcher lock.
//   K.TIM-2  A periodic timer is back in the table before its DPC is called.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/list.h"
#include "kernel/dpc.h"
#include "kernel/wait.h"

namespace kdpc {

// NT's KTIMER (SEMANTICS TIM-1). header.hand is unused; header.inserted says "in a table".
struct Timer {
  DispatcherHeader header;
  std::uint64_t due_time;   // D  interrupt time, 100 ns
  Link link;                // D
  Dpc* dpc;                 // D
  std::uint16_t processor;  // D  whose table
  std::uint16_t unused;
  std::uint32_t period;  // D  milliseconds; 0: once
};
static_assert(sizeof(Timer) == 0x40 && offsetof(Timer, due_time) == 0x18 && offsetof(Timer, link) == 0x20 && offsetof(Timer, dpc) == 0x30 &&
              offsetof(Timer, period) == 0x3c);

// One processor's timers, in the order of expiry.
class TimerTable {
 public:
  void initialize();
  void insert(Timer& timer);                            // D
  void remove(Timer& timer);                            // D
  Timer* first_due(std::uint64_t now) const;            // D  null: none
  std::uint64_t earliest() const { return earliest_; }  // any level, unlocked: a hint for the clock
  const List& timers() const { return list_; }

 private:
  void update_earliest();
  List list_;
  volatile std::uint64_t earliest_ = ~std::uint64_t{0};
};

namespace timer {

enum class Kind : std::uint8_t { Notification = 8, Synchronization = 9 };

void initialize(Timer& timer, Kind kind);
// At most Dispatch. `due`: 100 ns, negative relative, positive absolute system time, zero already due (TIM-2). True: it was in a table.
bool set(Timer& timer, std::int64_t due, std::uint32_t period_ms, Dpc* dpc);
bool cancel(Timer& timer);

// The body of set() and cancel() for callers that hold the dispatcher lock; due_time is interrupt time.
void insert_locked(Timer& timer, std::uint64_t due_time);
void remove_locked(Timer& timer);

// In the drain, at Dispatch: everything that is due on this processor (TIM-10, TIM-21).
void expire_here();
// At Clock, before and after the time moves.
void check_here(Processor& self);

std::uint64_t interrupt_time();  // 100 ns, constant between ticks (TIME-2)
std::uint64_t system_time();     // 100 ns since 1601

}  // namespace timer
}  // namespace kdpc
