// A Dpc is work an ISR postpones: it runs later, once, on one processor, at DISPATCH_LEVEL; or, if it is threaded, in that processor's DPC thread
// (threaded_dpc.h).
//
//   K.DPC-1  A Dpc is on at most one queue: `queue` is claimed by an exchange from null, and only then is the Dpc linked.
//   K.DPC-2  It leaves the queue, and is forgotten, before its routine is called; so it may requeue itself, or be freed (INS-5, INS-6).
//   K.DPC-3  Only its processor takes from a queue; every processor may insert and remove.
//   K.DPC-4  Only ordinary DPCs count for the thresholds and the drain: the threaded queue asks for its thread and nothing else (TAB-6, ADP-4).
//
//    idle --insert()--> queued --retire_here()--> running --(returns)--> idle
//                         '-----remove()-----> idle
#pragma once
#include <cstddef>
#include <cstdint>

#include "base/annotations.h"
#include "base/list.h"
#include "kernel/spinlock.h"

namespace kdpc {

struct Processor;
struct Dpc;
class DpcQueue;

using DpcRoutine = void KDPC_NTAPI(Dpc* dpc, void* context, void* argument1, void* argument2);

enum class Importance : std::uint8_t { Low = 0, Medium = 1, High = 2, MediumHigh = 3 };

enum class DpcType : std::uint8_t { Ordinary = 0x13, Threaded = 0x1A };  // KOBJECTS DpcObject, ThreadedDpcObject since 6.3

// NT's KDPC, field for field (SEMANTICS 3.1); the 16 bytes of the link area are ours.
struct Dpc {
  std::uint8_t type;
  std::uint8_t importance;
  volatile std::uint16_t number;  // 0: untargeted; kTargeted + n: processor n
  std::uint32_t unused;
  Link link;
  DpcRoutine* routine;
  void* context;
  void* argument1;
  void* argument2;
  DpcQueue* volatile queue;  // null: not queued

  static constexpr std::uint16_t kTargeted = 64;
};
static_assert(sizeof(Dpc) == 0x40 && offsetof(Dpc, link) == 8 && offsetof(Dpc, routine) == 0x18 && offsetof(Dpc, queue) == 0x38);

// A Dpc on its way from a queue to its call: copies, because the object is its owner's again.
struct DueDpc {
  Dpc* dpc;
  DpcRoutine* routine;
  void *context, *argument1, *argument2;
};

// One processor's queue. Every operation is called with the lock held, at High.
class DpcQueue {
 public:
  void initialize();
  SpinLock& lock() RETURN_CAPABILITY(lock_) { return lock_; }

  void insert(Dpc& dpc) REQUIRES(lock_);  // High at the head, all others at the tail (SEMANTICS 5.1)
  bool pop(DueDpc& due) REQUIRES(lock_);  // false: empty
  void remove(Dpc& dpc) REQUIRES(lock_);
  bool contains(const Dpc& dpc) const;

  std::int32_t depth() const { return depth_; }         // read without the lock too: a hint
  std::uint32_t inserted() const { return inserted_; }  // ever, never decremented: NT's DpcCount

  const List& dpcs() const { return list_; }

 private:
  SpinLock lock_;
  List list_;                            // Q
  volatile std::int32_t depth_ = 0;      // Q
  volatile std::uint32_t inserted_ = 0;  // Q
};

// The queue's lock is held at High: nothing may interpose between a decision and the state it rests on.
class SCOPED_CAPABILITY QueueLocked {
 public:
  explicit QueueLocked(DpcQueue& queue) ACQUIRE(queue.lock()) : queue_(queue) { queue_.lock().acquire_here(LockKind::System); }
  ~QueueLocked() RELEASE() { queue_.lock().release_here(LockKind::System); }
  QueueLocked(const QueueLocked&) = delete;
  QueueLocked& operator=(const QueueLocked&) = delete;

 private:
  DpcQueue& queue_;
};

namespace dpc {

// Any level. Writes what INI-1 says and nothing else. Initialising a queued Dpc is a bug check (INI-4).
void initialize(Dpc& dpc, DpcRoutine* routine, void* context, DpcType type = DpcType::Ordinary);
// Initialised as threaded, and threaded DPCs are enabled: with the option off they are ordinary ones (THR-1).
bool is_threaded(const Dpc& dpc);
// Any level. False: it was already queued and nothing has changed (INS-1).
bool insert(Dpc* dpc, void* argument1, void* argument2);
// Any level. True: it was queued and its routine will not start for that insertion (REM-1).
bool remove(Dpc& dpc);
// The same; and if it was not queued, returns when its routine runs nowhere. Bug check when that would be never: from the routine itself, or
// above it (REM-4).
bool remove_or_wait(Dpc& dpc);
void set_importance(Dpc& dpc, Importance importance);
// False: there is no such processor; nothing has changed (TGT-2).
bool set_target(Dpc& dpc, unsigned processor);

// Entered and left at High, on the DPC or idle stack: runs at Dispatch what is due, until nothing is left (RET-1…9).
void retire_here();
// Does this processor have anything for retire_here()?
bool has_work(const Processor& processor);
// Once a full tick, at Clock: the adaptive thresholds (SEMANTICS 3.4).
void adapt_here(Processor& self);

// The processor this Dpc would go to when inserted on `here`.
unsigned target_of(const Dpc& dpc, unsigned here);

// Calls the routine as the retire loop and the timer expiry do: at Dispatch, with the watchdog's count.
void call_routine(const DueDpc& due, ActivityKind kind);
// What every call of a DPC routine has: events, and the checks when it returns (IRQL-10, IRQL-11). At `level`, on the processor's or the DPC
// thread's own stack.
void call_checked(const DueDpc& due, ActivityKind kind, Irql level);

}  // namespace dpc
}  // namespace kdpc
