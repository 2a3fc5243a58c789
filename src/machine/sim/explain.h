// Why nothing goes on, in words for people, and where everybody stands.
#pragma once
#include <cstdint>
#include <string>

#include "machine/sim/state.h"

namespace kdpc::sim::explain {

// image+0x1c0, with the nearest exported name if there is one: the same in every run.
std::string place(std::uintptr_t address);
// p1 in thread 7 "worker" at DISPATCH_LEVEL …, then the frames, one a line.
std::string processor(const Slot& slot);
// Processors each of which spins for a lock that the next one holds, and the last one for one of the first.
struct Circle {
  const Slot* slots[kMaxProcessors];
  unsigned count;
};
std::string circle_of_locks(const Circle& circle);
std::string quiescence();
std::string everybody();

}  // namespace kdpc::sim::explain
