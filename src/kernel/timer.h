// Timers: something is due at an interrupt time; the clock notices, the DPC drain expires it (SEMANTICS 7).
//
// A timer lives in the table of one processor: that of its DPC's target, else that of the processor that set it (TIM-13); or, by option, in the
// one global table (TIM-12). The clock interrupt only compares the earliest due time and asks for a drain; expiry happens at Dispatch, in
// batches, under the dispatcher lock.
//
// How a table keeps its timers and their order is in timer_table.h.
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

// NT's KTIMER (SEMANTICS TIM-1). header.inserted says "in a table"; setting a timer writes header.size, its hand, and header.second, its flags.
struct Timer {
  DispatcherHeader header;
  std::uint64_t due_time;   // D  interrupt time, 100 ns
  Link link;                // D
  Dpc* dpc;                 // D
  std::uint16_t processor;  // D  whose table
  std::uint16_t kind;       // D  kExTimer, kHighResolution; 0: a driver's KTIMER, a thread's time limit
  std::uint32_t period;     // D  milliseconds, an Ex timer's 100 ns; 0: once

  static constexpr std::uint16_t kExTimer = 1;         // part of an ExTimer (kernel/ex_timer.h)
  static constexpr std::uint16_t kHighResolution = 2;  // the clock runs as fast as it can while this one is in a table
  // Of header.second, as in NT's TimerControlFlags:
  static constexpr std::uint8_t kAbsolute = 1;    // follows changes of the system time
  static constexpr unsigned kToleranceShift = 2;  // what KeSetCoalescableTimer tolerates, encoded in six bits
};
static_assert(sizeof(Timer) == 0x40 && offsetof(Timer, due_time) == 0x18 && offsetof(Timer, link) == 0x20 && offsetof(Timer, dpc) == 0x30 &&
              offsetof(Timer, processor) == 0x38 && offsetof(Timer, period) == 0x3c);

namespace timer {

enum class Kind : std::uint8_t { Notification = 8, Synchronization = 9 };

// What a set timer is to do. `due`: 100 ns, negative relative, positive absolute system time, zero already due (TIM-2).
struct Setting {
  std::int64_t due = 0;
  std::uint32_t period = 0;  // in the units of the kind
  Dpc* dpc = nullptr;
  std::uint32_t tolerable_ms = 0;  // TIM-5
  std::uint16_t kind = 0;
};

void initialize(Timer& timer, Kind kind);
// At most Dispatch. True: it was in a table.
bool set(Timer& timer, const Setting& setting);
bool cancel(Timer& timer);

// For callers that hold the dispatcher lock.
bool set_locked(Timer& timer, const Setting& setting);
bool cancel_locked(Timer& timer);
void insert_locked(Timer& timer, std::uint64_t due_time);  // interrupt time
void remove_locked(Timer& timer);

// In the drain, at Dispatch: everything that is due on this processor (TIM-10, TIM-21).
void expire_here();
// At Clock, when the time has moved: asks for a drain if something is due on this processor.
void check_here(Processor& self);

std::uint64_t interrupt_time();          // 100 ns, constant between clock interrupts (TIME-2)
std::uint64_t system_time();             // 100 ns since 1601
std::uint64_t precise_interrupt_time();  // 100 ns, always moving, never before interrupt_time()

// At most Dispatch: somebody sets the clock on the wall. Absolute timers follow it, relative ones do not (TIM-2).
void set_system_time(std::uint64_t time);

}  // namespace timer
}  // namespace kdpc
