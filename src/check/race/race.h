// What the race detector has found: two accesses to the same bytes, at least one of them a write, of which nothing says that one comes first.
//
// It is numbers and addresses; names are given to them later (report.h).
#pragma once
#include <cstdint>
#include <vector>

#include "kernel/events.h"

namespace kdpc::race {

enum class Kind : std::uint8_t {
  Data,
  BenignLooking,  // a plain read of what others change by interlocked operations
  Freed,          // one side gave the memory back to the pool
  ArmedObject     // a write into a KDPC that is queued, or a KTIMER that is set: the other side is the kernel, who was given it
};

// Certain: in this run nothing at all ordered the two. Potential: something did, but by chance, and no lock and no IRQL keeps them apart; a run in
// which they meet proves it.
enum class Verdict : std::uint8_t { Certain, Potential };

// What the code was doing. Each activity but a drain is code of its own, which begins, ends, and is interrupted by others.
enum class Acting : std::uint8_t { Thread, WorkItem, ThreadedDpc, Dpc, TimerDpc, Isr, Interrupt, Drain, Device };
const char* name_of(Acting acting);

struct HeldLock {
  std::uintptr_t lock;
  LockKind kind;
  bool shared;
  bool operator==(const HeldLock&) const = default;
  auto operator<=>(const HeldLock&) const = default;
};

// What an activity was last ordered by, or has last ordered others by.
enum class EdgeKind : std::uint8_t { None, Began, Object, Lock, Interlocked, Level, Device };
struct Edge {
  EdgeKind kind = EdgeKind::None;
  std::uintptr_t object = 0;  // the lock, the event, …; Level: the IRQL
};

struct Side {
  std::uintptr_t pc = 0;  // return address: the access is that of the line it returns to
  std::uintptr_t at = 0;
  std::uint32_t size = 0;
  bool write = false;
  bool atomic = false;
  bool is_volatile = false;
  bool freed = false;   // gave the memory back to the pool; `pc` is behind the call
  bool kernel = false;  // the kernel, on behalf of the caller
  Acting acting = Acting::Thread;
  std::uint8_t irql = 0;
  std::uint8_t entry = 0;  // the level at which such an activity comes; of a thread 0
  std::uint16_t processor = 0;
  bool pinned = false;         // to that processor
  std::uint32_t thread = 0;    // that runs, or is interrupted
  std::uintptr_t routine = 0;  // of the ISR, DPC, work item, or dispatch routine; 0: of a thread by itself
  std::uint64_t step = 0;      // which of its processor it was (machine/sink.h), from 1; 0: a device's
  std::vector<HeldLock> locks;
  Edge edge;                          // of the first side: by what it has since ordered others. Of the second: by what it was ordered last
  std::vector<std::uintptr_t> stack;  // return addresses, innermost first; of the second side only
};

// What the bytes lie in, if it is pool.
struct Block {
  std::uintptr_t base = 0;
  std::uint64_t size = 0;  // 0: it is none
  std::uint32_t tag = 0;
};

struct Race {
  Kind kind = Kind::Data;
  Verdict verdict = Verdict::Certain;
  Side first;  // as it happened in this run
  Side second;
  Block block;
  std::uint64_t count = 1;  // how often the same two places of code were found
};

}  // namespace kdpc::race
