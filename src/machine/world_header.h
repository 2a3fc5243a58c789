// What has to be known to read a World from outside: by a debugger, in this process, in another one, in a core file. It stands at the end of the first
// page, which is at the same address everywhere; all else is found from here.
//
//   K.HEAD-1  `magic` is there exactly while there is a machine.
//   K.HEAD-2  `layout` differs whenever a structure that the views read has changed its size: a reader of another build refuses, and does not guess.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "base/fixed_places.h"
#include "kernel/ex_timer.h"
#include "kernel/queued_lock.h"
#include "kernel/system.h"

namespace kdpc {

struct WorldHeader {
  // Something the machine keeps for each processor, `stride` bytes apart. First 0: this machine does not have it.
  struct PerProcessor {
    std::uintptr_t first;
    std::uint32_t stride;
    std::uint32_t size;
  };

  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t size;
  std::uint64_t layout;
  char machine[8];  // "sim", "live"
  System* system;
  std::uintptr_t time;          // where the time is that the whole machine has reached, ns; 0: nowhere
  PerProcessor irql;            // as it is, or was when the processor was suspended
  PerProcessor requests;        // of software interrupts
  PerProcessor pending_levels;  // bit n: a vector of level n is pending
  PerProcessor ipi;             // when an IPI arrives, ns; all ones: none is on its way
  std::uintptr_t inside;        // where it says that a processor runs right now, and not the host: one byte …
  std::uintptr_t current;       // … and where, which one: the address of its …
  PerProcessor itself;          // … record. What is said here of a suspended processor is not true of that one.
  PerProcessor doing;
  std::uint64_t spinning;  // what `doing` is while the processor waits for …
  PerProcessor spins_for;  // … this lock
  PerProcessor frame;      // the innermost frame pointer while it is suspended
  // Of a machine whose processors run side by side, instead of `inside` and `current`:
  PerProcessor attention;       // what a processor is about …
  std::uint64_t suspended;      // … and which bit of that says that it stands still
  std::uintptr_t signal_return;  // a frame that returns there is a handler's, and what it has interrupted lies above it

  static constexpr std::uint64_t kMagic = 0x444c524f5743504b;  // "KPCWORLD"
  static constexpr std::uint32_t kVersion = 1;
  static constexpr std::uintptr_t kPlace = kWorldBase + 4096 - 512;
};
static_assert(sizeof(WorldHeader) <= 512);

// FNV-1a of sizes and places.
constexpr std::uint64_t layout_of_kernel() {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint64_t size : {sizeof(System),
                                   sizeof(Processor),
                                   sizeof(Thread),
                                   sizeof(Timer),
                                   sizeof(ExTimer),
                                   sizeof(Interrupt),
                                   sizeof(DpcQueue),
                                   sizeof(Dpc),
                                   sizeof(LockHandle),
                                   sizeof(HeldLocks),
                                   sizeof(Options),
                                   sizeof(Pool),
                                   sizeof(WorkerPool),
                                   sizeof(IpiCall),
                                   sizeof(BugcheckReport),
                                   sizeof(WorldHeader),
                                   offsetof(Thread, machine),
                                   offsetof(Processor, dpcs),
                                   offsetof(Processor, timers),
                                   offsetof(Processor, held_locks),
                                   offsetof(Processor, vectors),
                                   offsetof(Processor, ipi_requests),
                                   offsetof(Processor, interrupt_count),
                                   offsetof(System, dispatcher_lock),
                                   offsetof(System, interrupt_time),
                                   offsetof(System, idle_processors),
                                   offsetof(System, ipi_call),
                                   offsetof(System, pool),
                                   offsetof(System, bugcheck),
                                   offsetof(System, processors)})
    hash = (hash ^ size) * 0x100000001b3;
  return hash;
}

inline WorldHeader& world_header() { return *reinterpret_cast<WorldHeader*>(WorldHeader::kPlace); }

// By the machine, once it is there; it fills in what it keeps.
inline WorldHeader& write_world_header(const char* machine) {
  WorldHeader& header = world_header();
  header = {};
  std::strncpy(header.machine, machine, sizeof header.machine - 1);
  header.version = WorldHeader::kVersion;
  header.size = sizeof(WorldHeader);
  header.layout = layout_of_kernel();
  header.system = system_pointer;
  header.magic = WorldHeader::kMagic;
  return header;
}
inline void forget_world_header() { world_header() = {}; }

// The same member of equal things that follow each other.
template <class Field>
WorldHeader::PerProcessor per_processor(const Field& first, std::size_t stride) {
  return {reinterpret_cast<std::uintptr_t>(&first), static_cast<std::uint32_t>(stride), sizeof(Field)};
}

}  // namespace kdpc
