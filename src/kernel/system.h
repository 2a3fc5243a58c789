// What all processors share, and the one mutable variable of the kernel: where it is.
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/processor_set.h"
#include "kernel/bugcheck.h"
#include "kernel/flush.h"
#include "kernel/ipi.h"
#include "kernel/job.h"
#include "kernel/options.h"
#include "kernel/passive_interrupt.h"
#include "kernel/pool.h"
#include "kernel/processor.h"
#include "kernel/workitem.h"

namespace kdpc {

struct System {
  Options options;                // I
  std::uint32_t processor_count;  // I
  SpinLock dispatcher_lock;
  SpinLock vector_lock;
  volatile bool left_asserting[256];  // X  by vector: a set was disconnected while its line was asserted, and it has not rested since (INT-26)
  PassiveServices passive_services;

  volatile std::uint64_t interrupt_time;     // X  100 ns; processor 0's clock interrupt moves it (TIME-1)
  volatile std::int64_t system_time_offset;  // X  system time - interrupt time, 100 ns since 1601
  volatile std::uint64_t tick_count;         // X  full ticks
  std::uint64_t clock_epoch;                 // I  when interrupt time was 0, ns
  volatile std::uint32_t clock_interval;     // X  between clock interrupts, 100 ns (TIM-18)
  std::uint32_t clock_interval_asked;        // D  the shortest that a driver has asked for …
  std::uint32_t clock_interval_requests;     // D  … and how many have not taken it back
  std::uint32_t high_resolution_timers;      // D  in the tables: while there are any, the clock runs as fast as it can

  volatile bool dpcs_refused;  // X  somebody has been refused elsewhere, and every processor knows (K.QUE-4)

  List threads;                  // D  all that have not been freed
  std::uint32_t next_thread_id;  // D
  ProcessorSet idle_processors;  // D
  List handles;                  // D  all open ones
  List events;                   // D  the kernel's own
  List resources;                // D  all that are initialised
  WorkerPool workers[kWorkQueues];
  Flush flush;
  GenericCall generic_call;
  IpiCall ipi_call;
  JobTable jobs;
  void* volatile io_manager;  // X  the I/O manager's root, in the pool; null until it is first used
  Pool pool;
  BugcheckReport bugcheck;               //    written by the machine when it has stopped; code 0: it has not
  Processor processors[kMaxProcessors];  //    the last member: only `processor_count` of them are in use
};

extern System* system_pointer;
inline System& sys() { return *system_pointer; }
inline Processor& processor(unsigned number) { return sys().processors[number]; }
inline ProcessorSet active_processors() { return ProcessorSet::first(sys().processor_count); }

struct BootParameters {
  unsigned processors = 1;
  Options options;
  std::byte* memory = nullptr;  // zeroed; System first, the pool behind it
  std::size_t size = 0;
  std::byte* paged = nullptr;  // zeroed memory for paged pool …
  std::size_t paged_size = 0;
  std::ptrdiff_t paged_view = 0;                  // … and how far from it the pool sees the same bytes, at every level
  std::int64_t system_time = 132223104000000000;  // 2020-01-01, 100 ns since 1601
};

// By the machine, before any processor runs: lays out System, processors and idle threads. After it each processor is started with
// its idle thread as current_thread, at High, on that thread's stack: entry::thread_begins(idle thread).
void boot(const BootParameters& parameters);

}  // namespace kdpc
