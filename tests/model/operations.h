// What a random driver does: scripts of operations for its threads, its DPC routines and its interrupt service routines.
//
// A Program is a pure function of a seed. It is plain data, so that it can be run by the kernel and by the reference model, printed, and made
// smaller operation by operation: whatever is left out, the rest still has a meaning, because an operation that is not legal where it would be
// performed is passed over by both.
#pragma once
#include <bit>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel/options.h"

namespace kdpc::model {

enum class Kind : std::uint8_t {
  Return,               // ends this call of a DPC or service routine; what follows is for the next call
  Stall,                // time: microseconds
  InsertDpc,            // object; value, other: the arguments
  RemoveDpc,            // object
  RemoveDpcEx,          // object; value: wait if its routine runs, which it must not
  SetImportance,        // object, value
  SetTarget,            // object, value: a processor's number that may not exist
  SetTargetEx,          // the same, with a status
  InitializeDpc,        // object; value: threaded or not; other: goes into the context
  Raise,                // value
  Lower,                // value
  SetTimer,             // object; other: its DPC, or kNone; time: due; period
  SetCoalescableTimer,  // the same with a tolerance that is too small to matter
  CancelTimer,          // object
  ReadTimer,            // object
  InitializeTimer,      // object; value: synchronization or not
  SetEvent,             // object; value: increment
  ResetEvent,           // object
  PulseEvent,           // object; value: increment
  ReadEvent,            // object
  ReleaseSemaphore,     // object; value: increment; other: by how many
  SignalAndWait,        // object: an event, set with Wait = TRUE; value: increment; other: of Program::waitable; time: limit
  WaitForOne,           // object: of Program::waitable; time: limit
  WaitForAny,           // object, other, third, or kNone
  WaitForAll,           // the same
  Delay,                // time; 0: gives way to whoever is ready
  Flush,                //
  SetPriority,          // object: a thread; value
  SetBasePriority,      // object: a thread; value: increment, signed
  SetIdealProcessor,    // object: a thread; value: a processor's number that may not exist
  SetAffinity,          // value: mask of processors
  RevertAffinity,       //
  Interrupt,            // object: a source; time: in so many microseconds
  SetActive,            // object: a source; value: active or not; while its line is asserted, only where it will interrupt, and alone on its vector
  SetResolution,        // value: set, or give back; time: 100 ns
  SetSystemTime,        // time: by so many 100 ns
  QueryTime,            // interrupt time
  QueryTickCount,
  QuerySystemTime,
  QueryExecuting,  // KeIsExecutingDpc
};
inline constexpr unsigned kKinds = static_cast<unsigned>(Kind::QueryExecuting) + 1;

inline constexpr std::uint8_t kNone = 0xff;
inline constexpr std::int64_t kForEver = INT64_MIN;               // a wait without a limit
inline constexpr std::int64_t kAbsolute = std::int64_t{1} << 40;  // added to a time: 100 ns of system time since the machine was started

struct Operation {
  Kind kind = Kind::Return;
  std::uint8_t object = 0, other = kNone, third = kNone;
  std::uint8_t value = 0;
  std::uint32_t period = 0;  // milliseconds
  std::int64_t time = 0;     // 100 ns, negative relative, unless the kind says otherwise
};

// Who performs a script.
enum class Where : std::uint8_t { Thread, Dpc, ThreadedDpc, Isr };

struct ThreadPlan {
  std::uint8_t priority;
  std::uint64_t affinity;  // mask of processors
  std::uint8_t ideal;
};

// A device that interrupts some time after an operation has told it to, and until its service routine quiets it.
struct SourcePlan {
  std::uint8_t vector;
  std::uint8_t synchronize_irql;
  bool level;              // else an edge
  bool shared;             // with all others of its vector
  bool claims;             // its routine says TRUE; one that is shared only if it was its device
  std::uint64_t affinity;  // mask of processors, the same for all of a vector
  unsigned lowest_processor() const { return static_cast<unsigned>(std::countr_zero(affinity)); }
};

struct Program {
  std::uint64_t seed = 0;
  unsigned processors = 1;
  std::map<std::string, std::string> settings;  // of the lab
  Options options;                              // the same
  unsigned dpcs = 0, timers = 0, events = 0, semaphores = 0;
  std::vector<ThreadPlan> threads;
  std::vector<SourcePlan> sources;
  // First one of each thread, then of each DPC, then of each source.
  std::vector<std::vector<Operation>> scripts;

  unsigned script_of_thread(unsigned number) const { return number; }
  unsigned script_of_dpc(unsigned number) const { return static_cast<unsigned>(threads.size()) + number; }
  unsigned script_of_source(unsigned number) const { return static_cast<unsigned>(threads.size()) + dpcs + number; }
  unsigned waitables() const { return events + timers + semaphores; }  // numbered in this order
  std::string script_name(unsigned script) const;
};

inline constexpr unsigned kMaxDpcs = 12, kMaxTimers = 8, kMaxEvents = 6, kMaxSemaphores = 3, kMaxSources = 6, kMaxPlannedThreads = 16;

// Reads the options out of the settings.
void take_options(Program& program);

Program generate(std::uint64_t seed, unsigned processors, unsigned steps);
const char* name_of(Kind kind);
std::string text_of(const Operation& operation, const Program& program);
std::string text_of(const Program& program);

// May this be performed at `irql` by somebody who was called at `entry`? Everything else of what makes an operation legal is the state of its
// objects, and is asked where it is performed.
bool is_legal(const Operation& operation, Where where, unsigned irql, unsigned entry, const Program& program);

}  // namespace kdpc::model
