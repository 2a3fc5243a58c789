// On the way from the hooks of check variants (drvcrt/drvcrt_check.c) to the sinks that want to hear of accesses.
//
// A hook counts Fixed::access_budget down and leaves a record in the log; when nothing is left of the budget it comes to Machine::access().
//
//   K.ACCESS-1  On the host context the log is empty and the budget used up: copies of the World know nothing of it.
//   K.ACCESS-2  Accesses and facts are heard in the order in which they happened, each with the level and processor of that moment.
//   K.ACCESS-3  Where a hook comes to the machine depends on how many accesses the processor has made and on an oracle, never on who listens.
#pragma once
#include "machine/sim/state.h"

namespace kdpc::sim::accesses {

inline constexpr std::int64_t kRoom = 1024;  // of the log; so many accesses at most are made from one window to the next
inline Access log[kRoom + 1];                // and the one that has come to the machine

inline std::int64_t untold() { return fixed().access_log - fixed().access_budget - log; }

// Whatever was recorded has been told, or nobody wants to hear it.
inline void clear() { fixed().access_log = log + fixed().access_budget; }

// Those made since the last time are counted.
inline void count(Slot& slot) {
  slot.accesses += static_cast<std::uint64_t>(slot.accesses_given - fixed().access_budget);
  slot.accesses_given = fixed().access_budget;
}

// Up to the next one that comes to the machine. Everything is counted and the log may be cleared.
inline void give(Slot& slot) {
  std::int64_t more = kRoom - 1 - static_cast<std::int64_t>(slot.accesses % kRoom);
  if (fixed().exploring) {
    const std::uint64_t step = steps_of(slot);
    const std::uint64_t until_asked = slot.question_at_access > step ? slot.question_at_access - step - 1 : 0;
    if (until_asked < static_cast<std::uint64_t>(more)) more = static_cast<std::int64_t>(until_asked);
  }
  slot.accesses_given = fixed().access_budget = more;
  clear();
}

// One that the budget does not count any more.
inline void add(const Access& access) {
  log[untold()] = access;
  ++fixed().access_log;
}

// The host context begins; K.ACCESS-1.
inline void end(Slot& slot) {
  count(slot);
  slot.accesses_given = fixed().access_budget = 0;
  clear();
}

// To the sinks, as of the running processor now. The log has to be cleared then.
void tell_all();

// Before anything that they come before: a fact, another level, another processor.
inline void tell() {
  if (!fixed().accesses_wanted || !fixed().inside || untold() == 0) [[likely]]
    return;
  tell_all();
  clear();
}

}  // namespace kdpc::sim::accesses
