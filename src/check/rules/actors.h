// Who is acting: from the stream of facts, what the code is doing that states the next one.
//
// ISRs, DPCs and the other things that borrow a processor lie on a stack per processor. Under them is the thread, with what it does by itself: work
// items and dispatch routines. These may wait and go on elsewhere, so each thread has a stack of its own.
//
//   K.RULE-1  actor(stamp) is the innermost activity that has begun and not ended, for the processor and thread of the stamp.
#pragma once
#include <cstdint>
#include <vector>

#include "check/rules/finding.h"

namespace kdpc::rules {

// The routines whose being called means something to a rule; found by name in the table of exports, which this layer does not know.
enum class Call : std::uint8_t {
  Other,
#define CALL(routine) routine,
#include "check/rules/calls.def"
#undef CALL
};

struct Raise {
  std::uint8_t from;
  std::uint8_t to;
  std::uintptr_t caller;
};

struct Actor {
  Acting acting = Acting::Thread;
  std::uint8_t level = 0;       // at which it began
  std::uint8_t interrupts = 0;  // ISR: the level at which its interrupt comes, below `level` if its object says so
  bool drained = false;         // of a Drain: nobody has called anything yet
  std::uintptr_t routine = 0;
  std::uintptr_t object = 0;
  std::uint64_t serial = 0;  // different for each
  std::uint64_t began = 0;
  std::uint64_t nested = 0;   // nanoseconds of others that ran on top of it
  Call call = Call::Other;    // the routine it called last …
  std::uintptr_t caller = 0;  // … from here
  std::uintptr_t called_for = 0;
  std::uint8_t called_at = 0;  // this IRQL
  std::int16_t critical = 0;   // critical regions entered and not left
  std::uint8_t raises = 0;
  Raise ladder[8] = {};
  std::uint8_t location = 0;    // Dispatch: of the IRP
  bool sent_by_driver = false;  // Dispatch: a driver has called IoCallDriver
  // ISR: what it has done so far
  bool quieted = false, queued = false, refused = false;
  // A register, and its line: when last, plus one; 0: never. A line that falls because of the register falls at the same time: an access takes none
  // between what it does and what that leads to.
  std::uint64_t touched = 0, fell = 0;
  bool requeued = false;  // DPC: itself
};

class Actors {
 public:
  explicit Actors(unsigned processors) : processors_(processors) {}

  Actor& actor(const Stamp& stamp) {
    std::vector<Actor>& on_top = processors_[stamp.processor];
    return on_top.empty() ? thread(stamp.thread).back() : on_top.back();
  }
  // The stack of the processor, innermost last; what its thread does is not in it.
  const std::vector<Actor>& on(unsigned processor) const { return processors_[processor]; }
  std::vector<Actor>& thread(std::uint32_t id) {
    if (id >= threads_.size()) threads_.resize(id + 1);
    if (threads_[id].empty()) threads_[id].push_back({.serial = ++serial_});
    return threads_[id];
  }
  void forget_thread(std::uint32_t id) { thread(id).clear(); }

  Actor& begin(const Stamp& stamp, Acting acting, std::uintptr_t routine, std::uintptr_t object, std::uint8_t level);
  // The innermost, if it is such a one, is gone; what it was. Its time counts as nested in the one below.
  Actor end(const Stamp& stamp, Acting acting);

 private:
  // Below DISPATCH_LEVEL even an ISR is only a routine of a thread.
  static bool is_threads(Acting acting, std::uint8_t level) { return acting == Acting::WorkItem || acting == Acting::Dispatch || level < 2; }
  std::vector<std::vector<Actor>> processors_;
  std::vector<std::vector<Actor>> threads_;
  std::uint64_t serial_ = 0;
};

}  // namespace kdpc::rules
