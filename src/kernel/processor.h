// Everything one processor owns. Guard letters, here and in the other headers:
//   I  set at boot or creation, then only read        H  this processor only, at Dispatch or above
//   Q  the DPC queue's own (dpc_queue.h)              D  the dispatcher lock
//   V  the vector lock                                X  any processor, atomic
//   T  the thread itself                              P, W  the pool's, the work queue's lock
#pragma once
#include <cstdint>

#include "kernel/dpc.h"
#include "kernel/generic_call.h"
#include "kernel/held_locks.h"
#include "kernel/interrupt.h"
#include "kernel/ready_queues.h"
#include "kernel/timer.h"
#include "kernel/timer_table.h"

namespace kdpc {

struct Processor {
  std::uint16_t number;  // I

  Thread* volatile current_thread;  // H
  Thread* volatile next_thread;     // D  chosen to run here next
  Thread* idle_thread;              // I
  ReadyQueues ready;                // D
  volatile bool idle;               // D  its idle thread runs, nothing is chosen
  volatile bool halted;             // X  waiting in Machine::idle(): needs an IPI to notice anything
  volatile bool quantum_end;        // H  the running thread's time is up
  Thread* ended_thread;             // D  switched away from for good; the next thread gives its last reference back

  DpcQueue dpcs;                                  // Q  the ordinary ones: NT's DpcData[0]
  volatile bool dpc_routine_active;               // X  the retire loop is running here: no drain need be requested (TAB-5)
  volatile bool dpc_interrupt_requested;          // X  a drain was requested and has not yet begun
  volatile std::int32_t maximum_dpc_queue_depth;  // X  adaptive (SEMANTICS 3.4); by this processor, for those who send

  // Whoever sends a DPC reads those before; these are written with each that runs.
  alignas(64) Dpc* volatile active_dpc;  // H  whose routine runs (RET-7); an address only
  std::uint32_t dpc_request_rate;        // H
  std::uint32_t dpc_last_count;          // H
  std::uint32_t adjust_dpc_countdown;    // H
  std::uint64_t dpc_began;               // H  Machine::mark() when the running DPC was called
  std::uint32_t dpc_time_count;          // H  ticks the running DPC or ISR has had
  std::uint32_t dpc_watchdog_count;      // H  ticks until the cumulative watchdog acts
  Timer watchdog_timer;                  // D  periodic; its DPC reloads the count
  Dpc watchdog_dpc;                      // Q  threaded

  DpcQueue threaded_dpcs;              // Q  NT's DpcData[1]
  Thread* dpc_thread;                  // I  takes from it, and runs nowhere else; null: threaded DPCs are disabled
  volatile bool dpc_thread_requested;  // X  somebody has asked for the thread, and it has not yet looked
  volatile bool dpc_thread_active;     // X  the thread is at work
  volatile bool dpc_thread_signal;     // X  the DISPATCH interrupt is to wake it (THR-3)
  Dpc* volatile active_threaded_dpc;   // T  whose routine the DPC thread runs; an address only
  EventObject dpc_event;               // D
  CallPart call;                       //    this processor's part in a KeGenericCallDpc
  Dpc flush_dpcs[2];                   //    of the flush that is under way: ordinary, threaded

  TimerTable timers;            // D
  volatile bool timer_request;  // H  something is due; take it in the next drain

  HeldLocks held_locks;  // H  drivers' spinning locks; an audit on another processor reads it as a hint

  std::uint32_t interrupt_nesting;      // H
  volatile bool ending_interrupts;      // H  the outermost interrupt opens its last window: those taken in it leave the rest to it
  Irql interrupted_irql;                // H  of what the innermost interrupt interrupted
  Interrupt* volatile vectors[256];     // V
  volatile std::uintptr_t passes[256];  // X  over that chain here, begun and ended: odd while one is running
  std::uint8_t storm_vector;            // H  INT-18
  std::uint32_t storm_count;            // H
  std::uint64_t storm_since;            // H  tick count

  volatile std::uint32_t ipi_requests;                                 // X  kIpi… bits
  std::uint64_t running_since;                                         // H  quantum = cycles: since when the thread has the processor, ns; 0: not
  std::uint64_t last_clock;                                            // H  when the last clock interrupt was due, ns
  std::uint64_t next_clock;                                            // H  when the next one is, ns
  std::uint64_t next_tick;                                             // H  when the next full tick is, ns
  std::uint64_t last_late;                                             // H  when a full tick last came later than the one after it was due, ns
  std::uint64_t interrupt_count;                                       // H
  std::uint64_t unexpected_interrupts;                                 // H
  std::uint64_t kernel_ticks, dpc_ticks, interrupt_ticks, idle_ticks;  // H  accounting (SEMANTICS 6.6)
};

namespace dpc {
inline bool has_work(const Processor& processor) { return processor.dpcs.has_any() || processor.timer_request; }
}  // namespace dpc

inline constexpr std::uint32_t kIpiDispatch = 1;  // request the DISPATCH interrupt on the target (IPI-1)
inline constexpr std::uint32_t kIpiClock = 2;     // arm the target's clock anew: its next interrupt may have to come sooner
inline constexpr std::uint32_t kIpiCall = 4;      // take part in the IpiCall (IPI-2)
inline constexpr std::uint32_t kIpiApc = 8;       // request the APC interrupt on the target

}  // namespace kdpc
